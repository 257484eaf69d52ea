# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The protocol that a live host, a recorded capture and a virtual machine are read by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, StillChanging
from vmad.model.kernel import KernelInfo
from vmad.model.merge_attempts import MergeAttempts
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable
from vmad.rules.vma_cost import VmaCost

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

    walk: str  #: how: "lockless", "open-coded", "task_vma", "maps", "capture"
    vmas_walked: int = 0
    vmas_skipped: int = 0


class Source(Protocol):
    """Whatever yields facts. A source knows nothing of verdicts.

    What many sources cannot tell, :class:`SourceBase` answers for them.
    """

    @property
    def evidence(self) -> Evidence:
        """How this source gets its facts."""

    @property
    def kernel(self) -> KernelInfo:
        """The kernel whose processes these are."""

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count now (or when a capture was made)."""

    @property
    def here(self) -> bool:
        """Whether its processes run on this machine now, so that /proc may say more of them."""

    @property
    def hostname(self) -> str | None:
        """What the machine of its processes calls itself; None unknown."""

    @property
    def vma_cost(self) -> VmaCost | None:
        """What a VMA costs on that machine; None where it cannot be told."""

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Processes that it knows to be there but that are not in its census: a capture remembers
        whom it could not see, BPF compares with /proc.
        """

    def merge_attempts(self) -> MergeAttempts | None:
        """What the kernel itself counts of its merge attempts; None where it does not."""

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """/proc/PID/cgroup of a process that runs; None where it cannot be read."""

    def exe_of(self, process: ProcessId) -> bytes | None:
        """The path of its program, as /proc/PID/exe has it; None where it cannot be read."""

    def last_cgroup_of(self, process: ProcessId) -> bytes | None:
        """The path in the unified hierarchy of a process that may be gone; None unknown."""

    def find(self, pid: int) -> ProcessId:
        """The process with this pid. Raises ProcessGone, CannotRead: both say what the pid is."""

    def load_all(self, process: ProcessId | None = None) -> None:
        """Prepare what takes rights that are given up later, and try it with ``process``.

        Raises EvidenceUnavailable, CannotRead, OSError.
        """

    def census(self) -> Census:
        """Every process with an address space (kernel threads and zombies have none)."""

    def sample(self) -> Census:
        """A census for the counts alone: the other columns may be those of the census before."""

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


class SourceBase:
    """A source that knows nothing of its processes but their address spaces."""

    @property
    def here(self) -> bool:
        """They are elsewhere."""
        return False

    @property
    def hostname(self) -> str | None:
        """Not known."""
        return None

    @property
    def vma_cost(self) -> VmaCost | None:
        """Not known."""
        return None

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """None is missed."""
        return ()

    def merge_attempts(self) -> MergeAttempts | None:
        """Not known."""

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """Not known."""

    def exe_of(self, process: ProcessId) -> bytes | None:
        """Not known."""

    def last_cgroup_of(self, process: ProcessId) -> bytes | None:
        """Not remembered."""

    def load_all(self, process: ProcessId | None = None) -> None:
        """There is nothing to prepare."""


def why_unread(error: CannotRead) -> Unread:
    """Under which reason a table that cannot be had is counted."""
    if isinstance(error, StillChanging):
        return Unread.CHANGING
    return Unread.PERMISSION if isinstance(error.__cause__, PermissionError) else Unread.ERROR
