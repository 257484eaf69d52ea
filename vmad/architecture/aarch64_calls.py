# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""System call numbers of 64-bit Arm (include/uapi/asm-generic/unistd.h)."""

from __future__ import annotations

from vmad.architecture.system_calls import SystemCalls

CALLS = SystemCalls(
    exit=93, futex=98, kcmp=272, madvise=233, map_shadow_stack=453, mbind=235, mlock2=284, mmap=222,
    mprotect=226, mseal=462, munmap=215, perf_event_open=241, pkey_alloc=289,
    pkey_mprotect=288, rt_sigreturn=139, sched_setscheduler=119, set_mempolicy=237,
    userfaultfd=282,
)  # fmt: skip
