# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""WebAssembly outside of browsers."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="wasmtime-reservation",
        text="Set memory_reservation=0, memory_reservation_for_growth=0 and memory_guard_size=0 in "
        "Wasmtime's Config (static_memory_maximum_size and static_memory_guard_size in older "
        "releases): memories are then allocated as they are and bounds are checked in code.",
        whose=Whose.PROGRAMMER,
        programs=(Program.WASMTIME,),
        patterns=(P.WASM_RESERVATIONS, P.OPENED_RESERVE),
        proof=Measured(
            2091, 91, "1,000 instances, Wasmtime 50", ("wasmtime-1000", "wasmtime-1000-small")
        ),
        cost="Bounds checks at each access.",
        check="No-access VMAs of gigabytes are gone.",
        source="wasmtime, Config::memory_reservation",
    ),
    Advice(
        name="wasm-fewer-memories",
        text="Keep fewer memories alive: one instance for many calls, or a pool of them. Each "
        "memory has gigabytes reserved behind it, two VMAs. Guard regions are no way out: they "
        "need page tables, 20 MB and 61 ms for each 10 GiB.",
        whose=Whose.PROGRAMMER,
        without=(Program.SANITIZER,),
        patterns=(P.WASM_RESERVATIONS,),
        proof=Measured(
            2091,
            290,
            "100 instances in place of 1,000, Wasmtime 50",
            ("wasmtime-1000", "wasmtime-100"),
        ),
        cost="Instances have to be reset or shared.",
        check="No-access VMAs of gigabytes become fewer.",
        source="wasmtime, pooling allocator; docs/atlas.md",
    ),
)
