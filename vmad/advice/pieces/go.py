# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Go's heap."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="go-1.21.4",
        text="Build with Go 1.21.4 or later: older releases mark pieces of the heap with "
        "MADV_HUGEPAGE and MADV_NOHUGEPAGE, which makes three VMAs of one.",
        whose=Whose.PROGRAMMER,
        programs=(Program.GO,),
        until=(1, 21, 4),
        patterns=(P.ADVISED, P.BLOCKS_APART),
        proof=Measured(
            454,
            30,
            "10,000 goroutines, half of a heap of 1 GiB given back, Go 1.19.8 and 1.27.3",
            ("go-1.19", "go-1.27"),
        ),
        cost="Another release of Go.",
        check="Pairs with `vm_flags:hg` or `vm_flags:nh` are gone.",
        source="golang/go #12233, #61718, #64332",
    ),
    Advice(
        name="go-mmap-files",
        text="Look for the library that maps them (block storage, indices): Go itself maps no "
        "files. Larger blocks, fewer shards, or the limit.",
        whose=Whose.OPERATOR,
        programs=(Program.GO,),
        patterns=(P.MANY_OBJECTS, P.OBJECT_IN_PIECES),
        proof=Documented(0.5),
        cost="A change of its configuration.",
        check="VMAs of kind file become fewer.",
        source="prometheus/prometheus #4392, m3db/m3 #960",
    ),
)
