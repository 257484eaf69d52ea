# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stacks of threads and coroutines, and other guard pages: whoever makes them."""

from __future__ import annotations

from vmad.advice.conditions import kernel_from
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

_GUARDS = (P.THREAD_GUARDS, P.COROUTINE_GUARDS, P.ALLOCATOR_GUARDS)

PIECES = (
    Advice(
        name="guard-install",
        text="Make guard pages with madvise(MADV_GUARD_INSTALL), kernel 6.13 and later: they need "
        "no VMA of their own, so that all stacks together are one VMA.",
        whose=Whose.PROGRAMMER,
        patterns=_GUARDS,
        without=(Program.HOTSPOT, Program.DOTNET),
        proof=Measured(
            20021,
            22,
            "10,000 coroutine stacks, one mmap each, Linux 6.18",
            ("coroutines-mprotect", "coroutines-guard-regions"),
        ),
        cost="A page table for each guard; on older kernels the call fails with EINVAL and "
        "mprotect must stand in.",
        check="`vmad explain PID` counts no guard pages; VmFlags of the stacks in smaps may show "
        "gu.",
        source="madvise(2); ClickHouse PR #109734",
        tests=(kernel_from((6, 13)),),
    ),
    Advice(
        name="pool-stacks",
        text="Keep fewer stacks, in a pool with an upper bound: a stack with a guard page is two "
        "VMAs, whether it runs or waits. One guard page between two stacks of one slab does not "
        "help; stacks that are given back with MADV_DONTNEED and used again do.",
        whose=Whose.PROGRAMMER,
        patterns=(P.COROUTINE_GUARDS, P.THREAD_GUARDS),
        proof=Measured(
            20021,
            2021,
            "1,000 stacks in place of 10,000, Linux 6.18",
            ("coroutines-mprotect", "coroutines-pooled"),
        ),
        cost="Work that finds no stack has to wait.",
        check="The number of no-access VMAs follows the pool's bound.",
        source="pthread_attr_setguardsize(3); ClickHouse #43864, rethinkdb #5760",
    ),
    Advice(
        name="fewer-threads",
        text="Run fewer threads: lower the size of the program's thread pools or the number of "
        "its connections. Each thread is two VMAs.",
        whose=Whose.OPERATOR,
        patterns=(P.THREAD_GUARDS,),
        proof=Measured(
            2023,
            223,
            "100 threads in place of 1,000, glibc 2.36",
            ("threads-glibc", "threads-glibc-100"),
        ),
        cost="Less runs at a time.",
        check="Threads: in /proc/PID/status and the count fall together.",
        source="pthread_attr_setguardsize(3); docker-library/mongo #575",
    ),
    Advice(
        name="fewer-guards",
        text="Guard some blocks and not all: a sample of them (as GWP-ASan does), or the large "
        "ones. Each guard page between two blocks is a VMA and makes another of what it parts.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ALLOCATOR_GUARDS,),
        proof=Documented(0.5),
        cost="An overrun is found only where a guard is.",
        check="The number of no-access VMAs falls.",
        source="LLVM documentation, GWP-ASan; Electric Fence, libefence(3)",
    ),
)
