# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Allocators other than glibc's: what each one's options do to VMAs."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

_PIECES_AND_HOLES = (P.HOLES, P.BLOCKS_APART)

PIECES = (
    Advice(
        name="jemalloc-retain",
        text="Keep MALLOC_CONF=retain:true (the default on 64-bit Linux since jemalloc 5): freed "
        "extents stay mapped, so that munmap cuts no holes. With jemalloc 4, upgrade.",
        whose=Whose.OPERATOR,
        programs=(Program.JEMALLOC,),
        patterns=_PIECES_AND_HOLES,
        proof=Measured(
            176, 76, "8 threads, random sizes, jemalloc 5.3.0", ("jemalloc-no-retain", "jemalloc")
        ),
        cost="Address space stays reserved.",
        check="VMAs with no pair below become fewer.",
        source="jemalloc #970, #1011",
    ),
    Advice(
        name="jemalloc-overcommit",
        text="Use vm.overcommit_memory=0 or 1: under 2, jemalloc gives memory back with "
        "PROT_NONE, which makes three VMAs of one.",
        whose=Whose.OPERATOR,
        programs=(Program.JEMALLOC,),
        patterns=(P.OPENED_RESERVE, P.ALLOCATOR_GUARDS),
        proof=Measured(
            1365,
            79,
            "8 threads, random sizes, memory given back at once, jemalloc 5.3.0, which reads 2 or "
            "0 there",
            ("jemalloc-overcommit-2", "jemalloc-overcommit-0"),
        ),
        cost="The host may promise more memory than it has.",
        check="Pairs with `vm_flags:access` become fewer.",
        source="jemalloc #1328, #1324",
    ),
    Advice(
        name="mimalloc-commit-at-once",
        text="Set MIMALLOC_EAGER_COMMIT_DELAY=0: version 2 otherwise commits the first segments of "
        "each thread piece by piece, and pieces written apart never merge on a stock kernel.",
        whose=Whose.OPERATOR,
        programs=(Program.MIMALLOC,),
        until=(3,),
        patterns=(P.WRITTEN_APART, P.OPENED_RESERVE),
        proof=Measured(
            287,
            159,
            "64 threads, random sizes, mimalloc 2.0.9; 128 of the rest are stacks",
            ("mimalloc", "mimalloc-eager"),
        ),
        cost="Each thread commits a whole segment at its start.",
        check="Pairs with `anon_vma_differs` are gone.",
        source="mimalloc documentation, environment options",
    ),
    Advice(
        name="mimalloc-3",
        text="Use mimalloc 3: it commits in another order.",
        whose=Whose.OPERATOR,
        programs=(Program.MIMALLOC,),
        until=(3,),
        patterns=(P.WRITTEN_APART, P.OPENED_RESERVE),
        proof=Documented(0.25, "228 to 183 with 64 threads, 128 of which are stacks"),
        cost="Another major version.",
        check="Pairs with `anon_vma_differs` are gone.",
        source="mimalloc releases; flowlog-rs/flowlog PR #177",
    ),
    Advice(
        name="hardened-malloc-guards",
        text="Use a build of hardened_malloc with guard regions (kernel 6.13 and later), or raise "
        "the limit to 1,048,576 as its documentation asks.",
        whose=Whose.OPERATOR,
        programs=(Program.HARDENED_MALLOC,),
        patterns=(P.ALLOCATOR_GUARDS,),
        proof=Documented(0.6),
        cost="A build of its own.",
        check="No-access VMAs become fewer.",
        source="hardened_malloc #154, PR #341",
    ),
    Advice(
        name="musl-allocator",
        text="Link another allocator, or run the program with glibc: musl's malloc maps and unmaps "
        "each large block and group of small ones on its own.",
        whose=Whose.OPERATOR,
        programs=(Program.MUSL,),
        patterns=_PIECES_AND_HOLES,
        proof=Measured(
            504, 71, "8 threads, random sizes, musl 1.2.3 and glibc 2.36", ("musl", "glibc-8")
        ),
        cost="Another C library.",
        check="VMAs with no pair below become fewer.",
        source="musl src/malloc/mallocng",
    ),
)
