# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The system calls whose numbers vmad has to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """Numbers of the calls that are made here without the C library."""

    exit: int
    futex: int
    kcmp: int
    madvise: int
    map_shadow_stack: int
    mbind: int
    mlock2: int
    mmap: int
    mprotect: int
    mseal: int
    munmap: int
    perf_event_open: int
    pkey_alloc: int
    pkey_mprotect: int
    rt_sigreturn: int
    sched_setscheduler: int
    set_mempolicy: int
    userfaultfd: int
