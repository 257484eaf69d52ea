# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turns what a source sees into snapshots: walks what is due, judges it, keeps the rest.

One scanner per machine. Samples, scans and recounts may come from three threads. ``_lock`` is held
only while the columns of the history are touched, never while a source reads or groups are added
up; ``_judging`` while what was walked is judged or added up, never while a source reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from vmad.config.schema import Config
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.rules.marked import marked_from
from vmad.scan.aggregate import same_objects
from vmad.scan.counted import Belonging, Counted
from vmad.scan.crossings import Near
from vmad.scan.group_marks import GroupMarks
from vmad.scan.grouping import Grouping, Whole
from vmad.scan.groups import GroupRules
from vmad.scan.history import MOST_TOLD, History
from vmad.scan.inheritance import Inherited
from vmad.scan.marked_groups import RECENT
from vmad.scan.marks import Mark
from vmad.scan.phases import Phase, PhaseCosts
from vmad.scan.snapshot import GroupStats, HostSnapshot
from vmad.scan.statistics import ScanCounts
from vmad.scan.walked import Key, WalkedProcesses
from vmad.sources.identity import IdentityReader
from vmad.sources.procfs.merge_counters import MergeAttempts
from vmad.sources.source import Census, Source
from vmad.timeline.timeline import Remembered

#: full scans from one to the next in which all identities are looked up again
LOOK_AGAIN_EVERY = 8
#: results that are walked, then judged
BATCH = 512
#: processes whose counts are told each second, those with most VMAs
FOLLOWED = 32
#: seconds that a recount waits for a scan that is being added up
RECOUNT_WAITS = 0.05

High = list[tuple[ProcessId, str, int]]  #: processes of which groups are to be told, comm, count


class Scanner:
    """Scans ``source`` into snapshots. ``clock`` gives Unix time in seconds.

    ``inherited`` is what ``leave`` of an earlier scanner gave on this boot, ``marks`` are those of
    an earlier one at any time. ``merge_attempts`` counts them where the kernel does not. ``counts``
    and ``phases`` are gone on with.
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
        counts: ScanCounts | None = None,
        phases: PhaseCosts | None = None,
    ) -> None:
        self.source = source
        self.counts = ScanCounts() if counts is None else counts
        self.phases = PhaseCosts() if phases is None else phases
        self._hostname = hostname
        self._clock = clock
        self._count_merges = merge_attempts
        self._lock = threading.Lock()
        self._judging = threading.RLock()
        self._last: HostSnapshot | None = None
        self._belonging: Belonging | None = None
        self._counted_at: float | None = None  #: Unix seconds of the newest sample with counts
        self._history = History(inherited)
        self._scanned_at = clock()
        self._walked = WalkedProcesses(source.kernel, clock)
        self._marks = GroupMarks(config.scan.keep_marks, marks, self._walked.group_of, clock)
        self._missed: tuple[Unreadable, ...] = ()
        self._ids: tuple[Census | None, list[Key]] = None, []
        self._limit: int | None = None
        self._not_urgent: Census | None = None  #: in which nobody was
        self._most: tuple[Census | None, int | None] = None, None
        self._whole: Whole | None = None
        cost = source.vma_cost
        self._vma_bytes = None if cost is None else cost.each
        self._next_config: Config | None = None
        self._take_over(config)

    def configure(self, config: Config) -> None:
        """Go by this configuration from the next scan on; groups are named anew then."""
        self._next_config = config

    def _take_over(self, config: Config) -> None:
        self._config = config
        self._grouping = Grouping(config.export.max_groups, self._vma_bytes)
        rules = GroupRules(config.groups, config.default_groups)
        self._walked.name_by(rules, IdentityReader(self.source, with_exe=rules.needs_exe))
        self._marks.go_by(config, rules, self.source)
        self._whole = None

    def use(self, source: Source) -> None:
        """Go on with another source (the one before is stuck, or a better one has come).

        For the thread that scans.
        """
        with self._judging:
            with self._lock:
                self.source = source
                self._history = History()
                self._counted_at = None
            self._walked.clear()
            self._missed = ()
            self._whole = self._last = self._belonging = None

    def leave(self) -> Inherited | None:
        """High-water marks and growth of every process, for the next scanner on this boot."""
        with self._lock:
            return self._history.leave()

    def marks_left(self, risen: bool = False) -> dict[str, tuple[Mark, ...]] | None:
        """The marks of all groups, for the next scanner; ``risen``: None while none has risen
        since they were asked for last.
        """
        return self._marks.left(risen)

    def mark(self, process: ProcessId, comm: str, count: int, cgroup: bytes | None = None) -> None:
        """Somebody saw that process, which may be gone by now, with so many VMAs. From any thread.

        ``cgroup`` is its path in the unified hierarchy, if it is known. Counts too low to be
        marked (vmad.rules.marked) only raise the mark of the process itself.
        """
        with self._lock:
            self._history.raise_mark(*process, count)
        if count >= marked_from(self._limit):
            self._marks.tell([(process, comm, count)], self.source, cgroup)

    def is_urgent(self, near: float) -> bool:
        """Whether a process at ``near`` of the limit or more (a ratio) may look otherwise than at
        its last walk, or one that has many VMAs was never walked. From any thread.
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
        """Who has ``share`` of the limit or more in the newest sample. From any thread."""
        limit, most = self._limit, self.most
        if not limit or most is None or most < share * limit:
            return []
        with self._lock:
            census = self._history.census
            if census is None:
                return []
            rows = np.flatnonzero(census["map_count"] >= share * limit)
            who = census[["pid", "start_time", "comm", "map_count"]][rows].tolist()
            rates = self._history.rate[rows].tolist()
            left = self._history.left(limit)[rows].tolist()
        found = []
        for (pid, start, raw, count), rate, seconds in zip(who, rates, left, strict=True):
            process, comm = ProcessId(pid, start), raw.decode("utf-8", "surrogateescape")
            group = self.group_of(process, comm)
            found.append(Near(process, comm, group, count, _known(rate), _known(seconds)))
        return found

    def group_of(self, process: ProcessId, comm: str, cgroup: bytes | None = None) -> str:
        """What it counts under; ``cgroup`` as ``mark`` has it. From any thread."""
        return self._marks.group_of(process, comm, self.source, cgroup)

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
            self._marks.tell(high, source)

    def _sampled(self, census: Census, now: float) -> High:
        """Take in a census; returns of which processes groups are to be told. Holds the lock."""
        self._history.sample(census, now)
        if self._history.counted:
            self._counted_at = self._clock()
        rows = self._history.high(marked_from(self._limit), now)
        if not len(rows):
            return []
        seen = census[["pid", "start_time", "comm", "map_count"]][rows].tolist()
        return [
            (ProcessId(pid, start), comm.decode("utf-8", "surrogateescape"), count)
            for pid, start, comm, count in seen
        ]

    def counted(self) -> Counted | None:
        """The counts of the newest sample by group; None before the first scan. From any thread,
        one at a time.
        """
        belonging = self._belonging
        with self._lock:
            census, at, limit = self._history.census, self._counted_at, self._limit
        if belonging is None or census is None or at is None:
            return None
        strangers: dict[Remembered, int] = {}
        for row in belonging.strangers(census, marked_from(limit))[:MOST_TOLD].tolist():
            pid, start, comm, count = census[["pid", "start_time", "comm", "map_count"]][row].item()
            name = comm.decode("utf-8", "surrogateescape")
            group = self._marks.group_of(ProcessId(pid, start), name, self.source)
            strangers[Remembered(pid, start, name, group)] = count
        return belonging.counted(census, at, limit, strangers)

    def recount(self) -> HostSnapshot | None:
        """The last scan with the counts, marks and growth of the newest sample; None where there
        is nothing newer, or a scan is just being added up. From any thread.
        """
        if not self._judging.acquire(timeout=RECOUNT_WAITS):
            return None
        try:
            last, counted_at = self._last, self._counted_at
            if last is None or counted_at is None or counted_at == last.counted_at:
                return None
            whole, groups, limit = self._added_up(False, self._scanned_at)
            self._last = self._told(last, whole, groups, limit)
            return self._last
        finally:
            self._judging.release()

    def scan(
        self, full: bool, execed: Collection[int] = (), near: float | None = None
    ) -> HostSnapshot:
        """Walk what is due (everything when ``full``) and add it all up.

        ``execed``: pids that started another program since the last scan. ``near``: only who is
        urgent is due, see ``is_urgent``. Raises what the source's census raises.
        """
        began = time.monotonic()
        source, phases = self.source, self.phases
        name = source.evidence.value
        next_config, self._next_config = self._next_config, None
        if next_config is not None:
            with self._judging:
                self._take_over(next_config)
        with phases.timed(name, Phase.CENSUS):
            census = source.census()
        with self._lock:
            high = self._sampled(census, began)
            due = np.ones(len(census), bool) if full else self._history.changed()
            if execed and not full:
                due |= np.isin(census["pid"], list(execed))
            if near is not None and self._limit:
                due = self._history.urgent(near * self._limit, marked_from(self._limit))
            rows = np.flatnonzero(due)
            self._history.walked(rows)
            ids = self._ids_of(census)
        self._marks.tell(high, source)
        self.counts.vmas_skipped += int(np.maximum(census["map_count"][~due], 0).sum())
        again = self._walk(source, [ProcessId(*ids[row]) for row in rows.tolist()], full, execed)
        if full:
            with phases.timed(name, Phase.CENSUS, more=True):
                self._missed = source.unreadable
            for missed in self._missed:
                self.counts.reads_failed[missed.why] += 1
        with phases.timed(name, Phase.ADD_UP):
            if len(census) and census["map_count"].max() < 0:
                counted = self._walked.counted(census, ids)
                with self._lock:
                    high = self._sampled(counted, time.monotonic())
                self._marks.tell(high, source)
            with self._lock:
                if again:
                    self._history.not_walked(again)
            self.counts.scans += 1
            self.counts.full_scans += full
            with self._judging:
                at = self._clock()
                recently = min(at, self._scanned_at)
                if near is None:  # else the scan of all before it is what is told of
                    self._scanned_at = at
                before = self._whole
                whole, groups, limit = self._added_up(full, recently)
                if whole is not before or self._belonging is None:
                    self._belonging = Belonging(whole, groups, FOLLOWED)
                self._last = self._told(
                    HostSnapshot(
                        taken_at=self._scanned_at,
                        took_seconds=0.0,
                        full=full,
                        evidence=source.evidence,
                        kernel=source.kernel,
                        hostname=self._hostname,
                        max_map_count=limit,
                        worst_ratio=None,
                        processes=(),
                        unreadable=(*self._walked.unreadable, *self._missed),
                        groups=(),
                        top=(),
                        kinds=(),
                        pairs={},
                        recoverable={},
                        walk=source.health().walk,
                        thresholds=self._config.thresholds,
                        merge_attempts=self._merge_attempts(),
                    ),
                    whole,
                    groups,
                    limit,
                )
        with self._judging:
            self._last = replace(
                self._last,
                took_seconds=time.monotonic() - began,
                phases=phases.seconds_of(name),
            )
            return self._last

    def _told(
        self,
        of: HostSnapshot,
        whole: Whole,
        groups: tuple[GroupStats, ...],
        limit: int | None,
    ) -> HostSnapshot:
        """The snapshot with what was added up now."""
        ratios = [group.ratio for group in groups if group.ratio is not None]
        return replace(
            of,
            max_map_count=limit,
            worst_ratio=max(ratios, default=None),
            processes=whole.processes,
            groups=groups,
            top=whole.processes[: self._config.export.top],
            kinds=whole.sums.kinds,
            pairs=whole.sums.pairs,
            recoverable=whole.sums.recoverable,
            groups_folded=whole.folded,
            counted_at=self._counted_at,
        )

    def _walk(
        self,
        source: Source,
        processes: Sequence[ProcessId],
        full: bool,
        execed: Collection[int],
    ) -> list[int]:
        """Walk and judge these; returns pids that are to be tried again in the next scan."""
        name = source.evidence.value
        look_again = full and self.counts.full_scans % LOOK_AGAIN_EVERY == 0
        with self.phases.timed(name, Phase.WALK):
            results = iter(source.summarise(processes))
        again: list[int] = []
        more = False
        while True:
            with self.phases.timed(name, Phase.WALK, more=True):
                batch = list(islice(results, BATCH))
            with self.phases.timed(name, Phase.JUDGE, more=more), self._judging:
                for result in batch:
                    self._walked.take(result, look_again or result.id.pid in execed, self.counts)
            # a right that is missing stays so: that one is tried when something changes
            again += [
                result.id.pid
                for result in batch
                if isinstance(result, Unreadable) and result.why is not Unread.PERMISSION
            ]
            if len(batch) < BATCH:
                return again
            more = True

    def _added_up(
        self, full: bool, recently: float
    ) -> tuple[Whole, tuple[GroupStats, ...], int | None]:
        """All members added up, groups with their marks, and the limit. Marks from ``recently``
        (Unix seconds) on count as of now, or those of the last RECENT seconds.
        """
        limit = self.source.max_map_count
        with self._lock:
            census = self._history.census
            assert census is not None
            now = self._history.current(self.source.kernel.page_shift, limit)
            self._limit = limit
        ids = self._ids_of(census)
        members = self._walked.members(ids, now, limit)
        self._walked.keep_only(ids, len(members), full)
        marked = self._marks.weights(limit)
        whole = self._whole
        if whole is None or not same_objects(whole.members, members) or whole.marked != marked:
            whole = self._whole = self._grouping.add_up(members, marked)
        since = min(self._clock() - RECENT, recently)
        return whole, self._marks.laid_over(whole, limit, since), limit

    def _merge_attempts(self) -> MergeAttempts | None:
        """The patched kernel's counters, else what BPF counts on this machine."""
        if self.source.kernel.patched:
            return self.source.merge_attempts()
        return self._count_merges() if self._count_merges is not None else None

    def _ids_of(self, census: Census) -> list[Key]:
        """Who is in the census, in its order: the same list while they are the same."""
        before, ids = self._ids
        if census is not before:
            if before is None or not _same_processes(before, census):
                pids, starts = census["pid"].tolist(), census["start_time"].tolist()
                ids = list(zip(pids, starts, strict=True))
            self._ids = census, ids
        return ids


def _known(number: float) -> float | None:
    return None if np.isnan(number) else number


def _same_processes(before: Census, census: Census) -> bool:
    return len(before) == len(census) and all(
        np.array_equal(before[column], census[column]) for column in ("pid", "start_time")
    )
