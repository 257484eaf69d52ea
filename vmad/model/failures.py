# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A call that failed because of vm.max_map_count."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.process import ProcessId


@dataclass(frozen=True, slots=True)
class FailedCalls:
    """Calls of one kind by which one process failed at the limit.

    ``call`` is the system call and ``error`` the name of its errno (brk, which has none: the
    ENOMEM that libc makes of it). Counts of VMAs are those at the last failure, which was at
    ``last``, in Unix seconds. ``cgroup`` is the path in the unified hierarchy, None without.
    """

    process: ProcessId
    comm: str
    cgroup: bytes | None
    call: str
    error: str
    count: int
    last: float
    map_count: int
    max_map_count: int
