# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether there is room for what somebody else decides the size of: a guest, or who speaks for it.

A control group's limits end or stall the whole process, whatever asked for the memory; so what
could take much of it is asked for before.
"""

from __future__ import annotations

import os
from pathlib import Path

from vmad.errors import CannotRead
from vmad.model.other_limits import GroupUse
from vmad.sources.cgroup_limits import read_group_use

#: bytes for which nobody is asked
SMALL = 16 << 20
#: by the version of control groups: what is given back as soon as somebody needs it, and what of
#: that is not (memory.stat; Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst)
_CACHE, _NO_CACHE = ("file", "total_cache"), ("shmem", "total_shmem")


class NoRoom(CannotRead):
    """The control groups of this process do not leave the memory that something takes."""


def need(size: int, what: str, proc: str = "/proc") -> None:
    """Raises NoRoom unless ``size`` bytes more fit into this process's control groups."""
    if size < SMALL:
        return
    for use in read_group_use(os.getpid(), proc):
        left = _left(use)
        if left is not None and size > left:
            raise NoRoom(
                f"{what} takes {size >> 20:,} MiB of memory, and control group {use.group} has "
                f"{max(left, 0) >> 20:,} left",
                "raise its limits (MemoryHigh=, MemoryMax=)",
            )


def is_held_up(proc: str = "/proc") -> bool:
    """Whether a control group of this process has more than its memory.high now."""
    for use in read_group_use(os.getpid(), proc):
        if use.controller == "memory" and use.used is not None:
            high = _high(Path(use.file).parent)
            if high is not None and use.used >= high:
                return True
    return False


def _left(use: GroupUse) -> int | None:
    """Bytes; None where there is no limit. memory.high is one: what is above it is held up."""
    if use.controller != "memory" or use.used is None:
        return None
    place = Path(use.file).parent
    limits = [limit for limit in (use.limit, _high(place)) if limit is not None]
    return min(limits) - use.used + _reclaimable(place) if limits else None


def _high(group: Path) -> int | None:
    try:
        text = (group / "memory.high").read_text("ascii").strip()
    except OSError:  # the first version has none
        return None
    return int(text) if text.isdigit() else None


def _reclaimable(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return 0
    stat = {name: int(number) for name, _, number in (line.partition(" ") for line in lines)}
    cache, other = (
        next((stat[name] for name in names if name in stat), 0) for names in (_CACHE, _NO_CACHE)
    )
    return max(cache - other, 0)
