# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Other processes in the same address space: clone(2) with CLONE_VM but not CLONE_THREAD."""

from __future__ import annotations

import ctypes
import os

from vmad.architecture.known import needed

_KCMP_VM = 1  # kcmp(2), with CONFIG_KCMP
_libc = ctypes.CDLL(None, use_errno=True)


def others_in(pid: int, proc: str = "/proc") -> list[int]:
    """Pids of the processes that share the address space of ``pid``; empty if none may be asked."""
    kcmp = needed(os.uname().machine, "comparing address spaces").calls.kcmp
    found = []
    for name in os.listdir(proc):
        if name.isdecimal() and int(name) != pid:
            same = _libc.syscall(kcmp, pid, int(name), _KCMP_VM, 0, 0)
            if same == 0:
                found.append(int(name))
    return found
