# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The newest snapshot of a machine: what was walked, added up after a scan, recounted between two.

``judging`` is held while what was walked is judged or added up, never while a source reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from vmad.config.schema import Config
from vmad.model.merge_attempts import MergeAttempts
from vmad.model.process import ProcessId, Unreadable
from vmad.rules.marked import marked_from
from vmad.scan.aggregate import same_objects
from vmad.scan.counted import Belonging, Counted
from vmad.scan.group_marks import GroupMarks
from vmad.scan.grouping import Grouping, Whole
from vmad.scan.history import MOST_TOLD
from vmad.scan.marked_groups import RECENT
from vmad.scan.phases import Phase
from vmad.scan.samples import Samples
from vmad.scan.snapshot import GroupStats, HostSnapshot
from vmad.scan.walked import WalkedProcesses
from vmad.sources.source import Census, Source
from vmad.timeline.timeline import Remembered

#: processes whose counts are told each second, those with most VMAs
FOLLOWED = 32
#: seconds that a recount waits for a scan that is being added up
RECOUNT_WAITS = 0.05


class _CountedOf(NamedTuple):
    """Counts, and what they are of."""

    belonging: Belonging
    census: Census
    limit: int | None
    counted: Counted


class NewestSnapshot:
    """``samples``, ``walked`` and ``marks`` are those of one machine. ``clock`` gives Unix time in
    seconds.
    """

    def __init__(
        self,
        samples: Samples,
        walked: WalkedProcesses,
        marks: GroupMarks,
        hostname: str,
        clock: Callable[[], float],
    ) -> None:
        self.judging = threading.RLock()
        self._samples = samples
        self._walked = walked
        self._marks = marks
        self._hostname = hostname
        self._clock = clock
        self._scanned_at = clock()
        self._last: HostSnapshot | None = None
        self._whole: Whole | None = None
        self._belonging: Belonging | None = None
        self._counted: _CountedOf | None = None

    def go_by(self, config: Config, vma_bytes: int | None) -> None:
        """Add up by this configuration from now on. The caller holds ``judging``."""
        self._config = config
        self._grouping = Grouping(config.export.max_groups, vma_bytes)
        self._whole = None

    def forget(self) -> None:
        """Another source starts from nothing. The caller holds ``judging``."""
        self._whole = self._last = self._belonging = self._counted = None

    def scanned(
        self,
        full: bool,
        near: bool,
        missed: tuple[Unreadable, ...],
        merge_attempts: MergeAttempts | None,
    ) -> None:
        """Add up what a scan walked; ``near``: of those alone who were urgent."""
        source = self._samples.source
        with self.judging:
            at = self._clock()
            recently = min(at, self._scanned_at)
            if not near:  # else the scan of all before it is what is told of
                self._scanned_at = at
            before = self._whole
            whole, groups, limit = self._added_up(full, recently)
            if whole is not before or self._belonging is None:
                self._belonging = Belonging(whole, groups, FOLLOWED)
            scan = self._of_scan(source, full, missed, merge_attempts)
            self._last = self._told(scan, whole, groups, limit)

    def took(self, seconds: float, phases: Mapping[Phase, float]) -> HostSnapshot:
        """The snapshot of the scan that is over, which says what it cost."""
        with self.judging:
            assert self._last is not None
            self._last = replace(self._last, took_seconds=seconds, phases=phases)
            return self._last

    def recount(self) -> HostSnapshot | None:
        """The last scan with the counts, marks and growth of the newest sample; None where there
        is nothing newer, or a scan is just being added up. From any thread.
        """
        if not self.judging.acquire(timeout=RECOUNT_WAITS):
            return None
        try:
            last, counted_at = self._last, self._samples.newest.counted_at
            if last is None or counted_at is None or counted_at == last.counted_at:
                return None
            whole, groups, limit = self._added_up(False, self._scanned_at)
            self._last = self._told(last, whole, groups, limit)
            return self._last
        finally:
            self.judging.release()

    def counted(self) -> Counted | None:
        """The counts of the newest sample by group; None before the first scan. From any thread,
        one at a time. Mostly nothing has moved, and this runs every second.
        """
        belonging = self._belonging
        census, at, limit = self._samples.newest
        if belonging is None or census is None or at is None:
            return None
        before = self._counted
        if (
            before is not None
            and before.belonging is belonging
            and before.census is census
            and before.limit == limit
        ):
            return before.counted._replace(at=at)
        strangers: dict[Remembered, int] = {}
        for row in belonging.strangers(census, marked_from(limit))[:MOST_TOLD].tolist():
            pid, start, comm, count = census[["pid", "start_time", "comm", "map_count"]][row].item()
            name = comm.decode("utf-8", "surrogateescape")
            group = self._samples.group_of(ProcessId(pid, start), name)
            strangers[Remembered(pid, start, name, group)] = count
        counted = belonging.counted(census, at, limit, strangers)
        self._counted = _CountedOf(belonging, census, limit, counted)
        return counted

    def _added_up(
        self, full: bool, recently: float
    ) -> tuple[Whole, tuple[GroupStats, ...], int | None]:
        """All members added up, groups with their marks, and the limit. Marks from ``recently``
        (Unix seconds) on count as of now, or those of the last RECENT seconds.
        """
        limit = self._samples.source.max_map_count
        try:
            ids, now = self._samples.current(limit)
            members = self._walked.members(ids, now, limit)
        except BaseException:
            self._walked.all_moved()
            raise
        self._walked.keep_only(ids, len(members), full)
        marked = self._marks.weights(limit)
        whole = self._whole
        if whole is None or not same_objects(whole.members, members) or whole.marked != marked:
            whole = self._whole = self._grouping.add_up(members, marked)
        since = min(self._clock() - RECENT, recently)
        return whole, self._marks.laid_over(whole, limit, since), limit

    def _of_scan(
        self,
        source: Source,
        full: bool,
        missed: tuple[Unreadable, ...],
        merge_attempts: MergeAttempts | None,
    ) -> HostSnapshot:
        """What a scan says besides what is added up."""
        return HostSnapshot(
            taken_at=self._scanned_at,
            took_seconds=0.0,
            full=full,
            evidence=source.evidence,
            kernel=source.kernel,
            hostname=self._hostname,
            max_map_count=None,
            worst_ratio=None,
            processes=(),
            unreadable=(*self._walked.unreadable, *missed),
            groups=(),
            top=(),
            kinds=(),
            pairs={},
            recoverable={},
            walk=source.health().walk,
            thresholds=self._config.thresholds,
            merge_attempts=merge_attempts,
        )

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
            counted_at=self._samples.newest.counted_at,
        )
