# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The newest walk of every process, judged, and the group that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.rules.kernel_rules import Judged, KernelRules
from vmad.rules.marked import marked_from
from vmad.scan.aggregate import Member
from vmad.scan.groups import GroupRules
from vmad.scan.history import Current
from vmad.scan.judged_process import (
    Counted,
    counted_process,
    shared_recoverable,
    walked_process,
)
from vmad.scan.statistics import ScanCounts
from vmad.sources.identity import IdentityReader
from vmad.sources.source import Census

#: a service manager may move a process to its cgroup after the exec: so its identity is looked
#: up at its first walks, and in every so many full scans again
LOOKS = 2
#: histograms of facts whose verdicts are remembered, one to some ten KiB each: whoever is walked
#: again finds its own at hand, so these are for processes that are new and look like another
JUDGED_REMEMBERED = 256

#: names, numbers by kind and histograms of which equal ones are one object
ALIKE_REMEMBERED = 1024

#: the limit of no machine: with another one, all members are shown anew
_NONE = -1

#: up to so many rows are quicker looked up in arrays than these are made lists
FEW = 32

#: a plain (pid, start_time), equal to its ProcessId and three times as quick to make
Key = tuple[int, int]
Value = TypeVar("Value")


@dataclass(slots=True)
class _Walked:
    """The newest walk of a process, and the member made of it."""

    summary: ProcessSummary
    judged: Judged
    walked_at: float
    group: str
    looks: int = 0  #: times that its identity was looked up
    member: Member | None = None  #: None: to be made anew


def _itself(value: Value) -> Value:
    return value


class _Columns(NamedTuple):
    """Those of Current: arrays, or lists where many rows are looked at."""

    counts: Sequence[int]
    high_water: Sequence[int]
    rates: Sequence[float]
    left: Sequence[float]
    sizes: Sequence[int]
    mm: Sequence[int]


@dataclass(slots=True)
class _Shown:
    """The members that were shown last, by row of the census that had these ``ids``."""

    ids: list[Key] | None
    members: list[Member | None]
    unreadable: bool = False  #: whether some could not be read then
    _rows: dict[Key, int] | None = None

    def rows_of(self, processes: Collection[Key]) -> list[int]:
        """Where they stand; one may have gone since it was walked."""
        if self._rows is None:
            self._rows = {key: row for row, key in enumerate(self.ids or ())}
        rows = map(self._rows.get, processes)
        return [row for row in rows if row is not None]


class WalkedProcesses:
    """All of one machine whose kernel is ``kernel``. For the thread that scans, but for
    ``group_of``. ``clock`` gives Unix time in seconds.
    """

    def __init__(self, kernel: KernelInfo, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._walked: dict[Key, _Walked] = {}
        self._unreadable: dict[Key, Unreadable] = {}
        self._renewed: set[Key] = set()  #: walked since members were asked for last
        self._shown = _Shown(None, [])
        self._limit: int | None = None
        self._alike = lru_cache(maxsize=ALIKE_REMEMBERED)(_itself)
        self._judged = lru_cache(maxsize=JUDGED_REMEMBERED)(KernelRules.of(kernel).judged)

    def name_by(self, rules: GroupRules, identities: IdentityReader) -> None:
        """Name groups by these rules from now on, and all that are known anew."""
        self._rules, self._identities = rules, identities
        for walked in self._walked.values():
            walked.group = self._name_of(walked.summary.id, walked.summary.comm)
            walked.member = None
        self._shown = _Shown(None, [])

    def _name_of(self, process: ProcessId, comm: str, reread: bool = False) -> str:
        return self._rules.name_of(self._identities.identity(process, comm, reread=reread))

    def clear(self) -> None:
        """Another source is read from now on."""
        self._walked.clear()
        self._renewed.clear()
        self._shown = _Shown(None, [])
        self._unreadable.clear()

    @property
    def unreadable(self) -> Collection[Unreadable]:
        """Those whose newest walk failed."""
        return self._unreadable.values()

    def group_of(self, process: ProcessId, comm: str) -> str | None:
        """The group of a process that was walked under this name. From any thread."""
        walked = self._walked.get(process)
        return walked.group if walked is not None and walked.summary.comm == comm else None

    def take(self, result: ProcessSummary | Unreadable, reread: bool, counts: ScanCounts) -> None:
        """The newest result of a process; ``reread``: its identity is looked up again."""
        if isinstance(result, Unreadable):
            counts.reads_failed[result.why] += 1
            self._unreadable[result.id] = result
            # what nobody may look at any more is not known to be what it was
            if result.why in (Unread.GONE, Unread.PERMISSION):
                self._walked.pop(result.id, None)
            return
        counts.walks += 1
        counts.vmas_walked += result.vmas
        self._unreadable.pop(result.id, None)
        self._renewed.add(result.id)
        before = self._walked.get(result.id)
        if before is None:
            group = self._name_of(result.id, result.comm, reread)
            self._walked[result.id] = self._new(result, group, 1)
            return
        looks, group = before.looks, before.group
        if reread or looks < LOOKS or before.summary.comm != result.comm:
            looks += 1
            group = self._name_of(result.id, result.comm, True)
        if before.group == group and before.summary == result:
            # nothing new, as mostly: what is known stays where it is in memory
            before.walked_at, before.looks = self._clock(), looks
        else:
            self._walked[result.id] = self._new(result, group, looks)

    def _new(self, result: ProcessSummary, group: str, looks: int) -> _Walked:
        """Processes that are alike, such as a thousand workers of one program, share what is."""
        alike = self._alike
        summary = ProcessSummary(
            result.id,
            alike(result.comm),
            result.map_count,
            alike(result.kinds),
            alike(result.facts),
            shared_recoverable(*result.recoverable.items()),
            result.mm,
        )
        return _Walked(summary, self._judged(summary.facts), self._clock(), group, looks)

    def counted(self, census: Census, ids: Sequence[Key]) -> Census:
        """A census whose source cannot count, with the counts of the newest walks."""
        census = census.copy()
        census["map_count"] = [
            -1 if (walked := self._walked.get(process)) is None or walked.summary.map_count is None
            else walked.summary.map_count
            for process in ids
        ]  # fmt: skip
        return census

    def keep_only(self, ids: Sequence[Key], members: int, full: bool) -> None:
        """Forget who is gone: who is not among ``ids``, ``members`` of which are shown."""
        if len(self._walked) <= members and not self._unreadable and not full:
            return
        alive = set(ids)
        for known in (self._walked, self._unreadable):
            for gone in [process for process in known if process not in alive]:
                del known[gone]
        self._identities.keep_only(alive)

    def all_moved(self) -> None:
        """What moved was not shown, since memory was short: look at all of them next time."""
        self._limit = _NONE

    def members(self, ids: list[Key], now: Current, limit: int | None) -> tuple[Member, ...]:
        """Every process that was walked or counted, as it is ``now``; unchanged ones are the same
        object. Mostly all are, and then only those that moved are looked at.
        """
        moved: Sequence[int] = now.moved if limit == self._limit else range(len(ids))
        shown, some = self._shown, bool(self._unreadable)
        if ids is shown.ids and limit == self._limit and not (some or shown.unreadable):
            rows: Sequence[int] = sorted({*moved, *shown.rows_of(self._renewed)})
        else:
            rows = range(len(ids))
            shown = self._shown = _Shown(ids, [None] * len(ids))
        shown.unreadable = some
        self._limit = limit
        self._renewed.clear()
        for row in moved:
            walked = self._walked.get(ids[row])
            if walked is not None:
                walked.member = None
        arrays: tuple[Any, ...] = now[1:-1]
        columns = _Columns(*([array.tolist() for array in arrays] if len(rows) > FEW else arrays))
        for row in rows:
            shown.members[row] = self._member(row, ids[row], columns, now.comms)
        return tuple([member for member in shown.members if member is not None])

    def _member(
        self, row: int, process: Key, columns: _Columns, comms: npt.NDArray[np.bytes_]
    ) -> Member | None:
        """None: nothing is known of it yet."""
        walked, size = self._walked.get(process), int(columns.sizes[row])
        # a process whose size changed is walked, and so shown anew, in this scan or the next
        if walked is not None and walked.member is not None:
            shown = walked.member.process.size
            if shown == size or (shown is None and size < 0):
                return walked.member
        count, high_water = int(columns.counts[row]), int(columns.high_water[row])
        limit = self._limit
        rate, left = float(columns.rates[row]), float(columns.left[row])
        now = Counted(count, high_water, rate, left, limit, size)
        if walked is not None:
            summary = walked.summary
            judged = walked_process(summary, walked.group, now, walked.judged, walked.walked_at)
            walked.member = Member(judged, summary.mm)
            return walked.member
        unread = self._unreadable.get(process)
        if count >= 0 and unread is not None and unread.why is not Unread.GONE:
            # its mmap_lock is contended, say: how near it is to the limit is known
            group = self._name_of(unread.id, unread.comm)
            judged = counted_process(unread.id, unread.comm, group, now)
            return Member(judged, int(columns.mm[row]))
        if unread is None and count >= marked_from(limit):
            # too new to have been walked, and large enough to be told of
            comm = bytes(comms[row]).decode("utf-8", "surrogateescape")
            new = ProcessId(*process)
            judged = counted_process(new, comm, self._name_of(new, comm), now)
            return Member(judged, int(columns.mm[row]))
        return None
