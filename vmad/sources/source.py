# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The protocol that a live host, a recorded capture and a virtual machine are read by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, StillChanging
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable

#: One row per process with an address space, ascending by pid.
#:
#: - start_time: clock ticks since boot; mm: opaque id of the address space (0 unknown)
#: - map_count: the kernel's count, -1 unknown
#: - lock_seq: mm_lock_seq, or another counter that stands still only while the address space does;
#:   -1 where there is none
#: - total_vm: pages, -1 unknown; comm: bytes as the kernel keeps them, NUL padded
CENSUS_ROW = np.dtype(
    [
        ("pid", "<i8"),
        ("start_time", "<i8"),
        ("mm", "<u8"),
        ("map_count", "<i8"),
        ("lock_seq", "<i8"),
        ("total_vm", "<i8"),
        ("comm", "S16"),
    ]
)

Census = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """What a source can say of its own work: exported as self-metrics, shown by ``doctor``."""

    walk: str  #: how address spaces are walked: "open-coded", "task_vma", "maps", "capture"
    vmas_walked: int = 0
    vmas_skipped: int = 0


class Source(Protocol):
    """Whatever yields facts. A source knows nothing of verdicts."""

    @property
    def evidence(self) -> Evidence:
        """How this source gets its facts."""

    @property
    def kernel(self) -> KernelInfo:
        """The kernel whose processes these are."""

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count now (or when a capture was made)."""

    def census(self) -> Census:
        """Every process with an address space (kernel threads and zombies have none)."""

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each process once and count; one result per process asked for, in any order."""

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process, with all the detail that this source can get.

        Exact, or with ``consistent`` False where the evidence cannot be. Raises ProcessGone,
        StillChanging, CannotRead.
        """

    def health(self) -> SourceHealth:
        """Counters since the source was opened."""

    def close(self) -> None:
        """Give back what the source holds."""


def missed_by(source: Source) -> tuple[Unreadable, ...]:
    """Processes that a source knows to be there but that are not in its census.

    A source that can tell has the property ``unreadable``: a capture remembers whom it could not
    see, BPF compares with /proc.
    """
    return tuple(getattr(source, "unreadable", ()))


def why_unread(error: CannotRead) -> Unread:
    """Under which reason a table that cannot be had is counted."""
    if isinstance(error, StillChanging):
        return Unread.CHANGING
    return Unread.PERMISSION if isinstance(error.__cause__, PermissionError) else Unread.ERROR


def is_here(source: Source) -> bool:
    """Whether its processes run on this machine now, so that /proc may say more of them."""
    return bool(getattr(source, "here", True))


def last_cgroup(source: Source, process: ProcessId) -> bytes | None:
    """The path in the unified hierarchy of a process that may be gone; None where it is not known.

    A source that remembers it from its census has the method ``last_cgroup_of``.
    """
    remembers = getattr(source, "last_cgroup_of", None)
    return None if remembers is None else cast(bytes | None, remembers(process))


def sample_of(source: Source) -> Census:
    """A census for the counts alone: the other columns may be those of the census before.

    A source that has that cheaper has the method ``sample``.
    """
    cheaper = getattr(source, "sample", None)
    return source.census() if cheaper is None else cast(Census, cheaper())
