# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The newest sample of every map_count, with the history behind it: what is known between scans.

From any thread. ``_lock`` is held only while the columns of the history are touched, never while a
source reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmad.model.process import ProcessId
from vmad.rules.marked import marked_from
from vmad.scan.crossings import Near
from vmad.scan.group_marks import GroupMarks
from vmad.scan.history import Current, History
from vmad.scan.inheritance import Inherited
from vmad.scan.marks import Mark
from vmad.scan.statistics import ScanCounts
from vmad.scan.walked import Key
from vmad.sources.source import Census, Source

_TOLD = ["pid", "start_time", "comm", "map_count"]

High = list[tuple[ProcessId, str, int]]  #: processes of which groups are to be told, comm, count


class Sample(NamedTuple):
    """A census, when it was taken with counts (Unix seconds), and the limit; None unknown."""

    census: Census | None
    counted_at: float | None
    limit: int | None


class Samples:
    """Of one machine, which ``source`` sees. ``marks`` are those of its groups; ``clock`` gives
    Unix time in seconds; ``inherited`` is what ``leave`` of an earlier one gave on this boot.
    """

    def __init__(
        self,
        source: Source,
        marks: GroupMarks,
        clock: Callable[[], float],
        counts: ScanCounts,
        inherited: Inherited | None = None,
    ) -> None:
        self.source = source
        self._marks = marks
        self._clock = clock
        self._counts = counts
        self._lock = threading.Lock()
        self._history = History(inherited)
        self._counted_at: float | None = None
        self._limit: int | None = None
        self._ids: tuple[Census | None, list[Key]] = None, []
        self._not_urgent: Census | None = None  #: in which nobody was
        self._most: tuple[Census | None, int | None] = None, None
        self._near: tuple[Census | None, float, list[Near]] = None, 0.0, []

    def use(self, source: Source) -> None:
        """Go on with another source, which starts from nothing."""
        with self._lock:
            self.source = source
            self._history = History()
            self._counted_at = None

    def leave(self) -> Inherited | None:
        """High-water marks and growth of every process, for the next ones on this boot."""
        with self._lock:
            return self._history.leave()

    def marks_left(self, risen: bool = False) -> dict[str, tuple[Mark, ...]] | None:
        """The marks of all groups, for the next ones; ``risen``: None while none has risen since
        they were asked for last.
        """
        return self._marks.left(risen)

    def mark(self, process: ProcessId, comm: str, count: int, cgroup: bytes | None = None) -> None:
        """Somebody saw that process, which may be gone by now, with so many VMAs.

        ``cgroup`` is its path in the unified hierarchy, if it is known. Counts too low to be
        marked (vmad.rules.marked) only raise the mark of the process itself.
        """
        with self._lock:
            self._history.raise_mark(*process, count)
        if count >= marked_from(self._limit):
            self._marks.tell([(process, comm, count)], self.source, cgroup)

    def group_of(self, process: ProcessId, comm: str, cgroup: bytes | None = None) -> str:
        """What it counts under; ``cgroup`` as ``mark`` has it."""
        return self._marks.group_of(process, comm, self.source, cgroup)

    def take(self) -> None:
        """One pass over the map_count of all: high-water marks and growth, no walk."""
        source = self.source
        census = source.sample()
        with self._lock:
            if source is not self.source:
                return
            high = self._take_in(census, time.monotonic())
            self._counts.samples += 1
        if high:
            self._marks.tell(high, source)

    @property
    def newest(self) -> Sample:
        """The newest sample."""
        with self._lock:
            return Sample(self._history.census, self._counted_at, self._limit)

    @property
    def most(self) -> int | None:
        """The most VMAs that a process had in the newest sample; None unknown."""
        with self._lock:
            census = self._history.census
            if census is not self._most[0]:
                most = -1 if census is None or not len(census) else int(census["map_count"].max())
                self._most = census, most if most >= 0 else None
            return self._most[1]

    def near(self, share: float) -> list[Near]:
        """Who has ``share`` of the limit or more in the newest sample, as it was when it came; the
        same list while nothing has moved.
        """
        limit, most = self._limit, self.most
        if not limit or most is None or most < share * limit:
            return []
        with self._lock:
            census = self._history.census
            if census is None:
                return []
            before, least, near = self._near
            if census is before and least == share * limit:
                return near
            rows = np.flatnonzero(census["map_count"] >= share * limit)
            who = census[_TOLD][rows].tolist()
            rates = self._history.rate[rows].tolist()
            left = self._history.left(limit)[rows].tolist()
        near = []
        for (pid, start, raw, count), rate, seconds in zip(who, rates, left, strict=True):
            process, comm = ProcessId(pid, start), raw.decode("utf-8", "surrogateescape")
            group = self.group_of(process, comm)
            near.append(Near(process, comm, group, count, _known(rate), _known(seconds)))
        self._near = census, share * limit, near
        return near

    def is_urgent(self, near: float) -> bool:
        """Whether a process at ``near`` of the limit or more (a ratio) may look otherwise than at
        its last walk, or one that has many VMAs was never walked.
        """
        limit, most = self._limit, self.most
        if not limit or most is None or most < min(near * limit, marked_from(limit)):
            return False
        with self._lock:
            census = self._history.census
            if census is None or census is self._not_urgent:
                return False
            urgent = bool(self._history.urgent(near * limit, marked_from(limit)).any())
            self._not_urgent = None if urgent else census
            return urgent

    # for the thread that scans

    def due(
        self, census: Census, now: float, full: bool, execed: Collection[int], near: float | None
    ) -> npt.NDArray[np.bool_]:
        """Take in the census of a scan; which of its rows are walked now (see Scanner.scan)."""
        with self._lock:
            high = self._take_in(census, now)
            due = np.ones(len(census), bool) if full else self._history.changed()
            if execed and not full:
                due |= np.isin(census["pid"], list(execed))
            if near is not None and self._limit:
                due = self._history.urgent(near * self._limit, marked_from(self._limit))
            self._history.walked(np.flatnonzero(due))
        self._marks.tell(high, self.source)
        return due

    def count(self, census: Census) -> None:
        """Take in the counts that walks gave, where the census has none."""
        with self._lock:
            high = self._take_in(census, time.monotonic())
        self._marks.tell(high, self.source)

    def not_walked(self, pids: Collection[int]) -> None:
        """These are due again."""
        with self._lock:
            self._history.not_walked(pids)

    def current(self, limit: int | None) -> tuple[list[Key], Current]:
        """Who is in the newest sample, and what is known of each at this limit."""
        with self._lock:
            census = self._history.census
            assert census is not None
            now = self._history.current(self.source.kernel.page_shift, limit)
            self._limit = limit
        return self.ids_of(census), now

    def ids_of(self, census: Census) -> list[Key]:
        """Who is in the census, in its order: the same list while they are the same."""
        before, ids = self._ids
        if census is not before:
            if before is None or not _same_processes(before, census):
                pids, starts = census["pid"].tolist(), census["start_time"].tolist()
                ids = list(zip(pids, starts, strict=True))
            self._ids = census, ids
        return ids

    def _take_in(self, census: Census, now: float) -> High:
        """Take in a census; returns of which processes groups are to be told. Holds the lock."""
        self._history.sample(census, now)
        if self._history.counted:
            self._counted_at = self._clock()
        rows = self._history.high(marked_from(self._limit), now)
        if not len(rows):
            return []
        return [
            (ProcessId(pid, start), comm.decode("utf-8", "surrogateescape"), count)
            for pid, start, comm, count in census[_TOLD][rows].tolist()
        ]


def _known(number: float) -> float | None:
    return None if np.isnan(number) else number


def _same_processes(before: Census, census: Census) -> bool:
    return len(before) == len(census) and all(
        np.array_equal(before[column], census[column]) for column in ("pid", "start_time")
    )
