# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""System call numbers of 64-bit x86 (arch/x86/entry/syscalls/syscall_64.tbl)."""

from __future__ import annotations

from vmad.architecture.system_calls import SystemCalls

CALLS = SystemCalls(
    exit=60, futex=202, kcmp=312, madvise=28, map_shadow_stack=453, mbind=237, mlock2=325, mmap=9,
    mprotect=10, mseal=462, munmap=11, perf_event_open=298, pkey_alloc=330,
    pkey_mprotect=329, rt_sigreturn=15, sched_setscheduler=144, set_mempolicy=238,
    userfaultfd=323,
)  # fmt: skip
