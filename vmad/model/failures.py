# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Calls that failed because of vm.max_map_count, as the kernel saw them and as they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vmad.model.process import ProcessId

#: a watch that began so soon (seconds) after counting did began with it
AT_ONCE = 5.0


@dataclass(frozen=True, slots=True)
class FailedCalls:
    """Calls of one kind by which one process failed at the limit, since they were asked for last.

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


@dataclass(frozen=True, slots=True)
class LimitFailure:
    """The same with a group, and ``count`` since vmad watches. The process may be gone."""

    process: ProcessId
    comm: str
    group: str
    call: str
    error: str
    count: int
    last: float
    map_count: int
    max_map_count: int


@dataclass(frozen=True, slots=True)
class FailureTally:
    """All failures at the limit since ``since`` (Unix seconds), which is when counting began.

    ``totals`` is by (group, call, error), with a 0 for mmap of groups that never failed;
    ``last`` has the newest first, one entry for each process, call and error. ``lost`` failures
    are in neither, as there was no room. Calls may be watched only while some process is near the
    limit: without a gap they are since ``watched_since``; None: nobody watches at this moment.
    """

    way: str  #: how they are watched
    since: float
    watched_since: float | None
    totals: Mapping[tuple[str, str, str], int]
    last: tuple[LimitFailure, ...]
    lost: int

    @property
    def watched_late(self) -> bool:
        """Whether calls are watched now, but not from the start."""
        return self.watched_since is not None and self.watched_since - self.since >= AT_ONCE

    def of(self, process: ProcessId) -> tuple[LimitFailure, ...] | None:
        """Those of one process; None where it may have some that are remembered in sums alone."""
        of_it = tuple(failure for failure in self.last if failure.process == process)
        told = sum(failure.count for failure in self.last)
        whole = told == sum(self.totals.values()) and not self.lost
        return of_it if of_it or whole else None
