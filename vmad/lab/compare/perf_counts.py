# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How often a process tree made which system call: perf counters on tracepoints, inherited.

perf_event_open(2) counts exactly the tree below one process, from its exec on, whatever else runs;
a hist trigger of tracefs would do less, and 5.10 of Debian is built without CONFIG_HIST_TRIGGERS.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from vmad.lab.machines import this_machine

TRACEFS = Path("/sys/kernel/tracing")
_PERF_TYPE_TRACEPOINT = 2
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5: nothing later is used
_DISABLED, _INHERIT, _ENABLE_ON_EXEC = 1 << 0, 1 << 1, 1 << 12
_FLAG_CLOEXEC = 8


class SystemCallCounts:
    """Counters of a process that is about to exec, and of all that it will start.

    Raises ``OSError`` where the kernel refuses one (no CONFIG_FTRACE_SYSCALLS, no right).
    """

    def __init__(self, pid: int, names: Sequence[str]) -> None:
        self._descriptors: dict[str, int] = {}
        for name in names:
            self._descriptors[name] = _opened(pid, name)

    def read(self) -> dict[str, int]:
        """Calls so far, those of processes that have ended included."""
        return {
            name: struct.unpack("<Q", os.read(descriptor, 8))[0]
            for name, descriptor in self._descriptors.items()
        }

    def close(self) -> None:
        """Give the counters back."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)


def _opened(pid: int, name: str) -> int:
    identity = int((TRACEFS / f"events/syscalls/sys_enter_{name}/id").read_text())
    flags = _DISABLED | _INHERIT | _ENABLE_ON_EXEC
    # type, size, config, sample_period, sample_type, read_format, flags (linux/perf_event.h)
    attr = struct.pack(
        "<IIQQQQQ", _PERF_TYPE_TRACEPOINT, _ATTR_SIZE, identity, 0, 0, 0, flags
    ).ljust(_ATTR_SIZE, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    number: int = libc.syscall(
        ctypes.c_long(this_machine().calls.perf_event_open),
        ctypes.c_char_p(attr),
        ctypes.c_int(pid),
        ctypes.c_int(-1),
        ctypes.c_int(-1),
        ctypes.c_ulong(_FLAG_CLOEXEC),
    )
    if number < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"perf_event_open of sys_enter_{name}: {os.strerror(error)}")
    return number
