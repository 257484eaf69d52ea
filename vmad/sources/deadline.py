# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A source whose reads may block, each bounded in time.

The walks of later kernels never wait for mmap_lock (what does so behind them is bounded there,
process by process). Where the task_vma iterator serves alone it waits, as long as the lock's holder
likes, and holds up everything behind it: so it runs under a deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from vmad.errors import CannotRead
from vmad.model.kernel import KernelInfo
from vmad.model.merge_attempts import MergeAttempts
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unreadable
from vmad.model.table import VmaTable
from vmad.rules.vma_cost import VmaCost
from vmad.sources.bounded import BoundedReads, Stuck
from vmad.sources.source import Census, Source, SourceHealth

T = TypeVar("T")

#: seconds of walking that are granted per VMA of the host: 30 times what a slow machine takes
PER_VMA = 20e-6
#: deadlines that a walk which works is granted: an emulated processor is that slow
_PATIENCE = 10


def bounded(source: Source, deadline: float) -> Source:
    """``source``, its walks bounded to ``deadline`` seconds where they may wait for a lock."""
    return DeadlineSource(source, deadline) if source.health().walk == "task_vma" else source


class Hung(CannotRead):
    """The source does not answer; another one has to serve meanwhile."""


class DeadlineSource:
    """A source whose reads may block, each bounded in time.

    A walk that hangs hangs for everybody: so summarise then raises Hung, table CannotRead, and
    both go on doing so, without another try, until the kernel lets go (``stuck`` is False again).
    """

    def __init__(self, source: Source, deadline: float) -> None:
        self._source = source
        self._deadline = deadline
        self._reads = BoundedReads(1, deadline, _PATIENCE)
        self._turn = threading.Lock()

    @property
    def evidence(self) -> Evidence:
        """As the source behind it."""
        return self._source.evidence

    @property
    def kernel(self) -> KernelInfo:
        """As the source behind it."""
        return self._source.kernel

    @property
    def max_map_count(self) -> int | None:
        """As the source behind it."""
        return self._source.max_map_count

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """As the source behind it: no lock of a target is taken."""
        return self._source.unreadable

    def last_cgroup_of(self, process: ProcessId) -> bytes | None:
        """As the source behind it: no lock of a target is taken."""
        return self._source.last_cgroup_of(process)

    @property
    def here(self) -> bool:
        """As the source behind it."""
        return self._source.here

    @property
    def hostname(self) -> str | None:
        """As the source behind it."""
        return self._source.hostname

    @property
    def vma_cost(self) -> VmaCost | None:
        """As the source behind it."""
        return self._source.vma_cost

    def merge_attempts(self) -> MergeAttempts | None:
        """As the source behind it."""
        return self._source.merge_attempts()

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """As the source behind it: no lock of a target is taken."""
        return self._source.cgroup_of(process)

    def exe_of(self, process: ProcessId) -> bytes | None:
        """As the source behind it: no lock of a target is taken."""
        return self._source.exe_of(process)

    def find(self, pid: int) -> ProcessId:
        """As the source behind it: no lock of a target is taken."""
        return self._source.find(pid)

    def load_all(self, process: ProcessId | None = None) -> None:
        """As the source behind it, not bounded."""
        self._source.load_all(process)

    @property
    def direct(self) -> Source:
        """The source behind it, whose reads are not bounded."""
        return self._source

    @property
    def stuck(self) -> bool:
        """Whether a walk that was given up has not come back yet."""
        return self._reads.stuck > 0

    def census(self) -> Census:
        """As the source behind it: takes no lock of a target."""
        return self._source.census()

    def sample(self) -> Census:
        """As the source behind it: takes no lock of a target."""
        return self._source.sample()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """As the source behind it. Raises Hung."""
        listed = list(processes)
        try:
            results = self._bounded(lambda: list(self._source.summarise(listed)))
        except Stuck as error:
            raise Hung(self._complaint()) from error
        yield from results

    def table(self, process: ProcessId) -> VmaTable:
        """As the source behind it."""
        try:
            return self._bounded(lambda: self._source.table(process))
        except Stuck as error:
            raise CannotRead(
                f"process {process.pid}: {self._complaint()}", "try again later"
            ) from error

    def _complaint(self) -> str:
        return f"the {self._source.health().walk} walk hangs: some process's mmap_lock is held"

    def _bounded(self, read: Callable[[], T]) -> T:
        """Raises Stuck when the read, or the one before it, does not come back."""
        total = int(self.census()["map_count"].sum())
        deadline = self._deadline + total * PER_VMA
        with self._my_turn(deadline):
            self._reads.deadline = deadline
            return self._reads.run(lambda _: read())

    @contextmanager
    def _my_turn(self, deadline: float) -> Iterator[None]:
        # the one worker is busy with another thread's read, or lost: only the latter is Stuck
        if not self._turn.acquire(timeout=deadline * _PATIENCE):
            raise Stuck(None)
        try:
            yield
        finally:
            self._turn.release()

    def health(self) -> SourceHealth:
        """As the source behind it."""
        return self._source.health()

    def close(self) -> None:
        """Close what can be closed; a walk that hangs keeps its programs until it ends."""
        self._reads.close()
        if not self.stuck:
            self._source.close()
