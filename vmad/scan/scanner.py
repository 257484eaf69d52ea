# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scans a machine: walks what is due and judges it, for the snapshot that is added up then.

One scanner per machine; it scans in one thread. What is asked of its ``samples`` and its ``newest``
snapshot meanwhile may come from others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice

import numpy as np

from vmad.config.schema import Config
from vmad.model.merge_attempts import MergeAttempts
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.scan.group_marks import GroupMarks
from vmad.scan.groups import GroupRules
from vmad.scan.inheritance import Inherited
from vmad.scan.marks import Mark
from vmad.scan.newest import NewestSnapshot
from vmad.scan.phases import Phase, PhaseCosts
from vmad.scan.samples import Samples
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import ScanCounts
from vmad.scan.walked import WalkedProcesses
from vmad.sources.identity import IdentityReader
from vmad.sources.source import Source

#: full scans from one to the next in which all identities are looked up again
LOOK_AGAIN_EVERY = 8
#: results that are walked, then judged
BATCH = 512


class Scanner:
    """Scans ``source`` into snapshots. ``clock`` gives Unix time in seconds.

    ``inherited`` is what an earlier one's samples left on this boot, ``marks`` are those of an
    earlier one at any time. ``merge_attempts`` counts them where the kernel does not. ``counts``
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
        self.counts = ScanCounts() if counts is None else counts
        self.phases = PhaseCosts() if phases is None else phases
        self._count_merges = merge_attempts
        self._walked = WalkedProcesses(source.kernel, clock)
        self._marks = GroupMarks(config.scan.keep_marks, marks, self._walked.group_of, clock)
        self.samples = Samples(source, self._marks, clock, self.counts, inherited)
        self.newest = NewestSnapshot(self.samples, self._walked, self._marks, hostname, clock)
        self._missed: tuple[Unreadable, ...] = ()
        cost = source.vma_cost
        self._vma_bytes = None if cost is None else cost.each
        self._next_config: Config | None = None
        self._take_over(config)

    @property
    def source(self) -> Source:
        """What sees the machine now."""
        return self.samples.source

    def configure(self, config: Config) -> None:
        """Go by this configuration from the next scan on; groups are named anew then."""
        self._next_config = config

    def _take_over(self, config: Config) -> None:
        rules = GroupRules(config.groups, config.default_groups)
        with self.newest.judging:
            self.newest.go_by(config, self._vma_bytes)
            self._walked.name_by(rules, IdentityReader(self.source, with_exe=rules.needs_exe))
            self._marks.go_by(config, rules, self.source)

    def use(self, source: Source) -> None:
        """Go on with another source (the one before is stuck, or a better one has come).

        For the thread that scans.
        """
        with self.newest.judging:
            self.samples.use(source)
            self._walked.clear()
            self._missed = ()
            self.newest.forget()

    def scan(
        self, full: bool, execed: Collection[int] = (), near: float | None = None
    ) -> HostSnapshot:
        """Walk what is due (everything when ``full``) and add it all up.

        ``execed``: pids that started another program since the last scan. ``near``: only who is
        urgent is due, see ``Samples.is_urgent``. Raises what the source's census raises.
        """
        began = time.monotonic()
        source, phases = self.source, self.phases
        name = source.evidence.value
        next_config, self._next_config = self._next_config, None
        if next_config is not None:
            self._take_over(next_config)
        with phases.timed(name, Phase.CENSUS):
            census = source.census()
        due = self.samples.due(census, began, full, execed, near)
        ids = self.samples.ids_of(census)
        self.counts.vmas_skipped += int(np.maximum(census["map_count"][~due], 0).sum())
        to_walk = [ProcessId(*ids[row]) for row in np.flatnonzero(due).tolist()]
        again = self._walk(source, to_walk, full, execed)
        if full:
            with phases.timed(name, Phase.CENSUS, more=True):
                self._missed = source.unreadable
            for missed in self._missed:
                self.counts.reads_failed[missed.why] += 1
        with phases.timed(name, Phase.ADD_UP):
            if len(census) and census["map_count"].max() < 0:
                self.samples.count(self._walked.counted(census, ids))
            if again:
                self.samples.not_walked(again)
            self.counts.scans += 1
            self.counts.full_scans += full
            self.newest.scanned(full, near is not None, self._missed, self._merge_attempts())
        return self.newest.took(time.monotonic() - began, phases.seconds_of(name))

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
            with self.phases.timed(name, Phase.JUDGE, more=more), self.newest.judging:
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

    def _merge_attempts(self) -> MergeAttempts | None:
        """The patched kernel's counters, else what BPF counts on this machine."""
        if self.source.kernel.patched:
            return self.source.merge_attempts()
        return self._count_merges() if self._count_merges is not None else None
