# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``process_*``: what client libraries of Prometheus tell of every program (/proc/self)."""

from __future__ import annotations

import os
import resource
from functools import cache

from vmad.export.metrics.family import Family


def process_families(proc: str = "/proc") -> list[Family]:
    """CPU, memory and file descriptors of this process, by proc_pid_stat(5); what cannot be read
    is absent.
    """
    found = []
    try:
        with open(f"{proc}/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        found = [
            _gauge("virtual_memory_bytes", "Virtual memory size in bytes.", int(fields[20])),
            _gauge(
                "resident_memory_bytes",
                "Resident memory size in bytes.",
                int(fields[21]) * resource.getpagesize(),
            ),
            _gauge(
                "start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                int(fields[19]) / ticks + _boot_time(proc),
            ),
            _family(
                "counter",
                "cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
                int(fields[11]) / ticks + int(fields[12]) / ticks,
            ),
        ]
        found.append(
            _gauge(
                "open_fds",
                "Number of open file descriptors.",
                len(os.listdir(f"{proc}/self/fd")),
            )
        )
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        found.append(_gauge("max_fds", "Maximum number of open file descriptors.", most))
    except OSError:
        pass
    return found


@cache
def _boot_time(proc: str) -> float:
    """Seconds since the epoch (proc_stat(5), btime). Raises OSError."""
    with open(f"{proc}/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    raise OSError(f"{proc}/stat has no btime")


def _gauge(name: str, text: str, value: float) -> Family:
    return _family("gauge", name, text, value)


def _family(type_: str, name: str, text: str, value: float) -> Family:
    family = Family(f"process_{name}", type_, text)
    family.add({}, value)
    return family
