# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""By how much this process's time since boot is another than the kernel's (time_namespaces(7)).

/proc/PID/stat gives start times as the reader's namespace sees them (timens_add_boottime_ns(),
fs/proc/array.c), of which a BPF program that reads task_struct knows nothing. Since 5.6.
"""

from __future__ import annotations

import time


def boot_offset(proc: str = "/proc") -> int:
    """Nanoseconds that this process's CLOCK_BOOTTIME is ahead of the kernel's; 0 mostly."""
    try:
        with open(f"{proc}/self/timens_offsets", encoding="ascii") as file:
            for line in file:
                clock, seconds, nanoseconds = line.split()
                if clock == "boottime":
                    return int(seconds) * 1_000_000_000 + int(nanoseconds)
    except (OSError, ValueError):  # a kernel without time namespaces
        pass
    return 0


def booted_at() -> float:
    """Unix time from which on the kernel counts nanoseconds (bpf_ktime_get_boot_ns())."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + boot_offset() / 1e9
