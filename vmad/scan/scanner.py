# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turns what a source sees into snapshots: walks what is due, judges it, keeps the rest.

One scanner per host. Samples and scans may come from two threads; the lock is held only while
the columns are touched, never while a source reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np

from vmad.config.schema import Config
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.rules.kernel_rules import Judged, KernelRules
from vmad.rules.marked import marked_from
from vmad.scan.aggregate import Member, same_objects
from vmad.scan.grouping import Grouping, Whole
from vmad.scan.groups import GroupRules
from vmad.scan.history import History, seconds_to
from vmad.scan.inheritance import Inherited
from vmad.scan.judged_process import Counted, counted_process, walked_process
from vmad.scan.marked_groups import RECENT, weights, with_marks
from vmad.scan.marks import Mark, Marks
from vmad.scan.snapshot import HostSnapshot, SelfStats
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.identity import IdentityReader
from vmad.sources.procfs.merge_counters import MergeAttempts
from vmad.sources.source import Census, Source

#: a service manager may move a process to its cgroup after the exec: so its identity is looked
#: up at its first walks, and in every so many full scans again
LOOKS = 2
LOOK_AGAIN_EVERY = 8
#: processes whose identity is remembered, of those that no scan has met when they are marked
MARKED_REMEMBERED = 1024
#: histograms of facts whose verdicts are remembered
JUDGED_REMEMBERED = 2048

#: up to so many rows are quicker looked up in arrays than these are made lists
FEW = 32

#: a plain (pid, start_time), equal to its ProcessId and three times as quick to make
_Key = tuple[int, int]


@dataclass(slots=True)
class _Held:
    """The newest walk of a process, and the member made of it."""

    summary: ProcessSummary
    judged: Judged
    walked_at: float
    group: str
    looks: int = 0  #: times that its identity was looked up
    member: Member | None = None  #: None: to be made anew


@dataclass(slots=True)
class _Shown:
    """The members of the newest snapshot, by row of the census that had these ``ids``."""

    ids: list[_Key] | None
    members: list[Member | None]
    unreadable: bool = False  #: whether some could not be read then
    _rows: dict[_Key, int] | None = None

    def row_of(self, process: _Key) -> int:
        """Where it stands."""
        if self._rows is None:
            self._rows = {one: row for row, one in enumerate(self.ids or ())}
        return self._rows[process]


class _Columns(NamedTuple):
    """Of a census and of history, by row: arrays, or lists where many are looked at."""

    counts: Sequence[int]
    high_water: Sequence[int]
    rates: Sequence[float]
    sizes: Sequence[int]  #: bytes
    mm: Sequence[int]


@dataclass
class ScanCounts:
    """Totals since start-up."""

    scans: int = 0
    full_scans: int = 0
    samples: int = 0
    walks: int = 0
    vmas_skipped: int = 0  #: not walked again, since their address space had not changed
    reads_failed: dict[Unread, int] = field(default_factory=lambda: dict.fromkeys(Unread, 0))


class Scanner:
    """Scans ``source`` into snapshots. ``clock`` gives Unix time in seconds.

    ``inherited`` is what ``leave`` of an earlier scanner gave on this boot, ``marks`` are those of
    an earlier one at any time. ``merge_attempts`` counts them where the kernel does not.
    """

    def __init__(
        self,
        source: Source,
        config: Config,
        hostname: str,
        *,
        clock: Callable[[], float] = time.time,
        inherited: Inherited | None = None,
        marks: Mapping[str, Sequence[Mark]] | None = None,
        merge_attempts: Callable[[], MergeAttempts] | None = None,
    ) -> None:
        self.source = source
        self.counts = ScanCounts()
        self._hostname = hostname
        self._clock = clock
        self._count_merges = merge_attempts
        self._lock = threading.Lock()
        self._history = History(inherited)
        self._marks = Marks(config.scan.keep_marks, marks)
        self._naming = threading.Lock()
        self._scanned_at = clock()
        self._held: dict[_Key, _Held] = {}
        self._renewed: set[_Key] = set()  #: walked since the last snapshot
        self._shown = _Shown(None, [])
        self._unreadable: dict[_Key, Unreadable] = {}
        self._missed: tuple[Unreadable, ...] = ()
        self._ids: tuple[Census | None, list[_Key]] = None, []
        self._limit: int | None = None
        self._most: tuple[Census | None, int | None] = None, None
        self._whole: Whole | None = None
        # processes that look alike, such as workers of one program, share one mapping
        self._judged = lru_cache(maxsize=JUDGED_REMEMBERED)(KernelRules.of(source.kernel).judged)
        cost = source.vma_cost
        self._vma_bytes = None if cost is None else cost.each
        self._wanted_config: Config | None = None
        self._take_over(config)

    def configure(self, config: Config) -> None:
        """Go by this configuration from the next scan on; groups are named anew then."""
        self._wanted_config = config

    def _take_over(self, config: Config) -> None:
        self._config = config
        self._grouping = Grouping(config.export.max_groups, self._vma_bytes)
        self._group_rules = GroupRules(config.groups, config.default_groups)
        needs_exe = self._group_rules.needs_exe
        self._identities = IdentityReader(self.source, with_exe=needs_exe)
        self._marks.keep = config.scan.keep_marks
        with self._naming:
            self._marked = IdentityReader(self.source, with_exe=needs_exe, limit=MARKED_REMEMBERED)
        for held in self._held.values():
            held.group = self._name_of(held.summary.id, held.summary.comm)
            held.member = None
        self._shown = _Shown(None, [])
        self._whole = None

    def use(self, source: Source) -> None:
        """Go on with another source (the one before is stuck, or a better one has come).

        For the thread that scans.
        """
        with self._lock:
            self.source = source
            self._history = History()
        self._held.clear()
        self._renewed.clear()
        self._shown = _Shown(None, [])
        self._unreadable.clear()
        self._missed = ()
        self._whole = None

    def leave(self) -> Inherited | None:
        """High-water marks and growth of every process, for the next scanner on this boot."""
        with self._lock:
            return self._history.leave()

    def marks_left(self, risen: bool = False) -> dict[str, tuple[Mark, ...]] | None:
        """The marks of all groups, for the next scanner; ``risen``: None while none has risen
        since they were asked for last.
        """
        with self._lock:
            if risen and not self._marks.risen:
                return None
            self._marks.risen = False
            return self._marks.leave()

    def mark(self, process: ProcessId, comm: str, count: int, cgroup: bytes | None = None) -> None:
        """Somebody saw that process, which may be gone by now, with so many VMAs. From any thread.

        ``cgroup`` is its path in the unified hierarchy, if it is known. Counts too low to be
        marked (vmad.rules.marked) only raise the mark of the process itself.
        """
        with self._lock:
            self._history.raise_mark(*process, count)
        if count >= marked_from(self._limit):
            self._tell_groups([(process, comm, count)], cgroup)

    @property
    def most(self) -> int | None:
        """The most VMAs that a process had in the newest sample; None unknown."""
        with self._lock:
            census = self._history.census
            if census is not self._most[0]:
                most = -1 if census is None or not len(census) else int(census["map_count"].max())
                self._most = census, most if most >= 0 else None
            return self._most[1]

    def _name_of(self, process: ProcessId, comm: str, reread: bool = False) -> str:
        return self._group_rules.name_of(self._identities.identity(process, comm, reread=reread))

    def sample(self) -> None:
        """One pass over the map_count of all: high-water marks and growth, no walk."""
        source = self.source
        census = source.sample()
        with self._lock:
            if source is not self.source:
                return
            high = self._sampled(census, time.monotonic())
            self.counts.samples += 1
        if high:
            self._tell_groups(high)

    def _sampled(self, census: Census, now: float) -> list[tuple[ProcessId, str, int]]:
        """Take in a census; returns of which processes groups are to be told. Holds the lock."""
        self._history.sample(census, now)
        rows = self._history.high(marked_from(self._limit), now)
        if not len(rows):
            return []
        seen = census[["pid", "start_time", "comm", "map_count"]][rows].tolist()
        return [
            (ProcessId(pid, start), comm.decode("utf-8", "surrogateescape"), count)
            for pid, start, comm, count in seen
        ]

    def _tell_groups(
        self, high: Iterable[tuple[ProcessId, str, int]], cgroup: bytes | None = None
    ) -> None:
        """Mark the groups of processes with many VMAs while these are there to be looked at."""
        named = [(self._marked_group(one, comm, cgroup), count) for one, comm, count in high]
        with self._lock:
            now = self._clock()
            for group, count in named:
                self._marks.mark(group, count, now)

    def _marked_group(self, process: ProcessId, comm: str, cgroup: bytes | None) -> str:
        """The name that a scan gave, or would give if there were one now.

        /proc names every hierarchy; of a process that is gone the unified one has to do.
        """
        held = self._held.get(process)
        if held is not None and held.summary.comm == comm:
            return held.group
        with self._naming:
            identity = self._marked.identity(process, comm)
        if identity.cgroup is None:
            cgroup = cgroup or self.source.last_cgroup_of(process)
            if cgroup is not None:
                identity = replace(identity, cgroup=parse_cgroup(b"0::" + cgroup))
        return self._group_rules.name_of(identity)

    def scan(self, full: bool, stats: SelfStats, execed: Collection[int] = ()) -> HostSnapshot:
        """Walk what is due (everything when ``full``) and add it all up.

        ``execed``: pids that started another program since the last scan. Raises what the
        source's census raises.
        """
        began = time.monotonic()
        source = self.source
        wanted_config, self._wanted_config = self._wanted_config, None
        if wanted_config is not None:
            self._take_over(wanted_config)
        census = source.census()
        with self._lock:
            high = self._sampled(census, began)
            due = np.ones(len(census), bool) if full else self._history.changed()
            if execed and not full:
                due |= np.isin(census["pid"], list(execed))
            wanted = np.flatnonzero(due)
            self._history.walked(wanted)
            ids = self._ids_of(census)
        self._tell_groups(high)
        self.counts.vmas_skipped += int(np.maximum(census["map_count"][~due], 0).sum())
        look_again = full and self.counts.full_scans % LOOK_AGAIN_EVERY == 0
        again: list[int] = []
        for found in source.summarise([ProcessId(*ids[row]) for row in wanted.tolist()]):
            self._take(found, look_again or found.id.pid in execed)
            # a right that is missing stays so: that one is tried when something changes
            if isinstance(found, Unreadable) and found.why is not Unread.PERMISSION:
                again.append(found.id.pid)
        if full:
            self._missed = source.unreadable
            for missed in self._missed:
                self.counts.reads_failed[missed.why] += 1
        counted = census
        if len(census) and census["map_count"].max() < 0:
            counted = self._counted(census, ids)
        if counted is not census:
            with self._lock:
                high = self._sampled(counted, time.monotonic())
            self._tell_groups(high)
        with self._lock:
            if again:
                self._history.not_walked(again)
            self.counts.scans += 1
            self.counts.full_scans += full
            newest = self._history.census
            assert newest is not None
            return self._snapshot(newest, full, began, stats)

    def _take(self, found: ProcessSummary | Unreadable, reread: bool) -> None:
        if isinstance(found, Unreadable):
            self.counts.reads_failed[found.why] += 1
            self._unreadable[found.id] = found
            if found.why is Unread.GONE:
                self._held.pop(found.id, None)
            return
        self.counts.walks += 1
        self._unreadable.pop(found.id, None)
        before = self._held.get(found.id)
        looks = before.looks if before is not None else 0
        if (
            before is not None
            and not reread
            and looks >= LOOKS
            and before.summary.comm == found.comm
        ):
            group = before.group
        else:
            looks += 1
            group = self._name_of(found.id, found.comm, reread or before is not None)
        if before is not None and before.summary.facts == found.facts:
            judged = before.judged
        else:
            judged = self._judged(found.facts)
        held = self._held[found.id] = _Held(found, judged, self._clock(), group, looks)
        if before is not None and before.group == group and before.summary == found:
            held.member = before.member  # a walk that found nothing new
        self._renewed.add(found.id)

    def _counted(self, census: Census, ids: Sequence[_Key]) -> Census:
        """A census whose source cannot count, with the counts of the newest walks."""
        census = census.copy()
        census["map_count"] = [
            -1 if (held := self._held.get(process)) is None or held.summary.map_count is None
            else held.summary.map_count
            for process in ids
        ]  # fmt: skip
        return census

    def _snapshot(self, census: Census, full: bool, began: float, stats: SelfStats) -> HostSnapshot:
        ids = self._ids_of(census)
        limit = self.source.max_map_count
        members = self._members(census, ids, limit)
        if len(self._held) > len(members) or self._unreadable or full:
            alive = set(ids)
            for gone in [process for process in self._held if process not in alive]:
                del self._held[gone]
            for gone in [process for process in self._unreadable if process not in alive]:
                del self._unreadable[gone]
            self._identities.keep_only(alive)
        now = self._clock()
        self._marks.expire(now)
        marked = weights(self._marks, limit)
        whole = self._whole
        if whole is None or not same_objects(whole.members, members) or whole.marked != marked:
            whole = self._whole = self._grouping.add_up(members, marked)
        recently = min(now - RECENT, self._scanned_at)
        groups = with_marks(whole, self._marks, limit, recently)
        self._scanned_at = now
        return HostSnapshot(
            taken_at=now,
            took_seconds=time.monotonic() - began,
            full=full,
            evidence=self.source.evidence,
            kernel=self.source.kernel,
            hostname=self._hostname,
            max_map_count=limit,
            worst_ratio=max((one.ratio for one in groups if one.ratio is not None), default=None),
            processes=whole.processes,
            unreadable=(*self._unreadable.values(), *self._missed),
            groups=groups,
            top=whole.processes[: self._config.export.top],
            kinds=whole.sums.kinds,
            pairs=whole.sums.pairs,
            recoverable=whole.sums.recoverable,
            self_stats=replace(stats, groups_folded=whole.folded),
            thresholds=self._config.thresholds,
            merge_attempts=self._merge_attempts(),
        )

    def _merge_attempts(self) -> MergeAttempts | None:
        """The patched kernel's counters, else what BPF counts on this machine."""
        if self.source.kernel.patched:
            return self.source.merge_attempts()
        return self._count_merges() if self._count_merges is not None else None

    def _members(self, census: Census, ids: list[_Key], limit: int | None) -> tuple[Member, ...]:
        """Every process that was walked or counted, as it is now; unchanged ones are the same
        object. Mostly all are, and then only those that moved are looked at.
        """
        moved = self._history.news().tolist() if limit == self._limit else range(len(ids))
        shown, some = self._shown, bool(self._unreadable)
        if ids is shown.ids and limit == self._limit and not (some or shown.unreadable):
            rows: Sequence[int] = sorted({*moved, *(shown.row_of(one) for one in self._renewed)})
        else:
            rows = range(len(ids))
            shown = self._shown = _Shown(ids, [None] * len(ids))
        shown.unreadable = some
        self._limit = limit
        self._renewed.clear()
        for row in moved:
            held = self._held.get(ids[row])
            if held is not None:
                held.member = None
        columns = self._columns(census, as_lists=len(rows) > FEW)
        for row in rows:
            shown.members[row] = self._member(row, ids[row], columns)
        return tuple([member for member in shown.members if member is not None])

    def _columns(self, census: Census, as_lists: bool) -> _Columns:
        arrays = (
            census["map_count"],
            self._history.high_water,
            self._history.rate,
            census["total_vm"] << self.source.kernel.page_shift,
            census["mm"],
        )
        return _Columns(*([one.tolist() for one in arrays] if as_lists else cast("Any", arrays)))

    def _member(self, row: int, process: _Key, columns: _Columns) -> Member | None:
        """None: nothing is known of it yet."""
        held, size = self._held.get(process), int(columns.sizes[row])
        # a process whose size changed is walked, and so shown anew, in this scan or the next
        if held is not None and held.member is not None:
            shown = held.member.process.size
            if shown == size or (shown is None and size < 0):
                return held.member
        count, rate, limit = int(columns.counts[row]), float(columns.rates[row]), self._limit
        left = seconds_to(limit, count, rate)
        now = Counted(count, int(columns.high_water[row]), rate, left, limit, size)
        if held is not None:
            walk = held.summary
            judged = walked_process(walk, held.group, now, held.judged, held.walked_at)
            held.member = Member(judged, walk.mm)
            return held.member
        unread = self._unreadable.get(process)
        if count >= 0 and unread is not None and unread.why is not Unread.GONE:
            # its mmap_lock is contended, say: how near it is to the limit is known
            group = self._name_of(unread.id, unread.comm)
            judged = counted_process(unread.id, unread.comm, group, now)
            return Member(judged, int(columns.mm[row]))
        return None

    def _ids_of(self, census: Census) -> list[_Key]:
        """Who is in the census, in its order: the same list while they are the same."""
        before, ids = self._ids
        if census is not before:
            if before is None or not _same_processes(before, census):
                pids, starts = census["pid"].tolist(), census["start_time"].tolist()
                ids = list(zip(pids, starts, strict=True))
            self._ids = census, ids
        return ids


def _same_processes(one: Census, other: Census) -> bool:
    return len(one) == len(other) and all(
        bool((one[name] == other[name]).all()) for name in ("pid", "start_time")
    )
