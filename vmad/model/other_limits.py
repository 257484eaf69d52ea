# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Limits beside vm.max_map_count at which calls fail alike, and their use. Missing is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Of one process, from /proc/PID/limits and status. Sizes are in bytes.

    ``soft`` has the soft limits by name ("AS", "DATA", "MEMLOCK", "NPROC", "STACK"): None is
    unlimited, one that could not be read is not in it. ``tasks_of_user`` are those of its real
    user on the host.
    """

    pid: int
    soft: Mapping[str, int | None] = field(default_factory=dict)
    size: int | None = None
    data: int | None = None
    locked: int | None = None
    stack: int | None = None
    user: int | None = None
    tasks_of_user: int | None = None
    capabilities: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class HostUse:
    """Of the host, from /proc/meminfo, /proc/loadavg and /proc/sys. Sizes are in bytes."""

    overcommit: int | None = None  #: vm.overcommit_memory
    commit_limit: int | None = None
    committed: int | None = None
    memory_and_swap: int | None = None
    tasks: int | None = None
    threads_max: int | None = None
    pid_max: int | None = None
    huge_pages: int | None = None
    huge_pages_left: int | None = None  #: neither used nor reserved


@dataclass(frozen=True, slots=True)
class GroupUse:
    """Of one control group that the process is in, or that is above it.

    ``controller`` is "memory" (bytes) or "pids" (tasks); ``file`` holds the limit, which is None
    where there is none; ``hits`` counts how often it was run into.
    """

    controller: str
    group: str
    file: str
    used: int | None
    limit: int | None
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class OtherUse:
    """All of it. ``groups`` begins with the innermost."""

    process: ProcessUse
    host: HostUse
    groups: tuple[GroupUse, ...] = ()
