# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""glibc: malloc's arenas and large blocks, stacks of threads."""

from __future__ import annotations

from vmad.advice.conditions import kernel_from, large_blocks
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

_OTHERS = (
    Program.JEMALLOC, Program.MIMALLOC, Program.TCMALLOC, Program.HARDENED_MALLOC, Program.V8,
    Program.BUN, Program.LUAJIT, Program.GO, Program.MONO, Program.ERLANG, Program.HOTSPOT,
    Program.FIREFOX, Program.MUSL, Program.DOTNET, Program.CRYSTAL, Program.SANITIZER,
)  # fmt: skip

PIECES = (
    Advice(
        name="glibc-arena-max",
        text="Set MALLOC_ARENA_MAX=1 (or the tunable glibc.malloc.arena_max=1): all threads then "
        "use the main arena, which grows by brk. A larger number helps only against many arenas, "
        "not where one thread fills heap after heap.",
        whose=Whose.OPERATOR,
        programs=(Program.GLIBC,),
        patterns=(P.ARENA_HEAPS,),
        proof=Measured(
            665,
            25,
            "one thread, 20 GiB in blocks of 1 MiB, glibc 2.36; =2: 677",
            ("arenas-one-thread", "arenas-one-thread-max1"),
        ),
        cost="Threads wait for one lock in malloc.",
        check="VMAs at multiples of 64 MiB become fewer.",
        source="mallopt(3); glibc malloc/arena.c, HEAP_MAX_SIZE",
    ),
    Advice(
        name="glibc-mmap-threshold",
        text="Set MALLOC_MMAP_THRESHOLD_=1073741824 (M_MMAP_THRESHOLD), above the size of the "
        "large blocks: each block above the threshold is a mapping of its own, which realloc "
        "moves with mremap. MALLOC_MMAP_MAX_=0 does the same.",
        whose=Whose.OPERATOR,
        programs=(Program.GLIBC,),
        patterns=(P.BLOCKS_APART, P.MOVED, P.WRITTEN_APART, P.HOLES),
        without=_OTHERS,
        proof=Measured(
            3105,
            105,
            "3,000 bytearrays of 240 KiB, CPython 3.11, glibc 2.36",
            ("cpython-bytearrays", "cpython-bytearrays-threshold"),
        ),
        cost="A freed block goes back to the kernel only from the heap's end, and growing one "
        "copies it.",
        check="VMAs with no pair below become fewer, [heap] grows.",
        source="mallopt(3); glibc malloc/malloc.c, do_set_mmap_threshold: any size since 2.36",
        tests=(large_blocks,),
    ),
    Advice(
        name="jemalloc-preloaded",
        text="Preload jemalloc (LD_PRELOAD=libjemalloc.so.2): it keeps large blocks in areas of "
        "its own.",
        whose=Whose.OPERATOR,
        programs=(Program.GLIBC,),
        patterns=(P.BLOCKS_APART, P.MOVED, P.HOLES),
        without=_OTHERS,
        proof=Measured(
            3105,
            128,
            "3,000 bytearrays of 240 KiB, CPython 3.11, jemalloc 5.3",
            ("cpython-bytearrays", "cpython-bytearrays-jemalloc"),
        ),
        cost="Another allocator, with other peaks of memory.",
        check="/proc/PID/maps names libjemalloc; VMAs with no pair below become fewer.",
        source="jemalloc(3)",
        tests=(large_blocks,),
    ),
    Advice(
        name="glibc-2.42",
        text="Run it with glibc 2.42 or later (Linux 6.13 or later): its thread stacks have guard "
        "regions, which need no VMA.",
        whose=Whose.OPERATOR,
        programs=(Program.GLIBC,),
        until=(2, 42),
        patterns=(P.THREAD_GUARDS,),
        without=(Program.HOTSPOT, Program.GO),
        proof=Documented(0.98, "1,000 threads: 2,023 with glibc 2.36, 24 with 2.43, once, by hand"),
        cost="A newer distribution, or a container with one.",
        check="No-access VMAs of 4 KiB below each stack are gone.",
        source="glibc 2.42 NEWS; nptl/allocatestack.c",
        tests=(kernel_from((6, 13)),),
    ),
    Advice(
        name="glibc-names",
        text="Leave the tunable glibc.mem.decorate_maps at 0: at 1, glibc gives its mappings "
        "different names by use.",
        whose=Whose.OPERATOR,
        programs=(Program.GLIBC,),
        patterns=(P.NAMES,),
        proof=Documented(0.7),
        cost="maps tells less.",
        check="Pairs with `anon_vma_name` become fewer.",
        source="glibc manual, Memory Related Tunables",
    ),
)
