# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One scan, for a person who asks now: no history, no groups, everything read and judged once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vmad.errors import CannotRead, ProcessGone
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.verdict import PairKey, Recoverable
from vmad.rules.counting import Counting
from vmad.rules.kernel_rules import KernelRules
from vmad.scan.aggregate import Member, add_up, known_recoverable, once
from vmad.scan.judged_process import Counted, walked_process
from vmad.scan.phases import Phase, PhaseCosts
from vmad.scan.snapshot import JudgedProcess
from vmad.sources.source import Source, why_unread

#: told after each process: (processes done, processes in all)
Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class HostScan:
    """What one scan found. The sums count an address space that processes share once.

    ``took_seconds`` is reading and judging, without opening the source. ``processes`` is the
    worst ratio first. ``recoverable`` adds up what is known; ``undecided`` is the number of
    processes, by rules, whose evidence leaves pairs undecided and which are not in that sum.
    """

    evidence: Evidence
    kernel: KernelInfo
    judged_as: KernelInfo
    walk: str
    max_map_count: int | None
    took_seconds: float
    processes: tuple[JudgedProcess, ...]
    unreadable: tuple[Unreadable, ...]
    vmas: int
    kinds: tuple[int, ...]
    pairs: Mapping[PairKey, int]
    recoverable: Recoverable
    undecided: Mapping[str, int]
    phases: Mapping[Phase, float]  #: what each took, seconds


def scan_once(
    source: Source,
    judged_as: KernelInfo | None = None,
    pids: Collection[int] | None = None,
    step: Step = lambda done, total: None,
) -> HostScan:
    """Read and judge every process, or those of ``pids``; a pid without one is unreadable.

    ``judged_as`` is the kernel whose rules apply; by default the one that was read.
    """
    kernel = judged_as or source.kernel
    rules, limit = KernelRules.of(kernel), source.max_map_count
    began = time.monotonic()
    name, phases = source.evidence.value, PhaseCosts()
    with phases.timed(name, Phase.CENSUS):
        census = source.census()
    if pids is not None:
        census = census[np.isin(census["pid"], list(pids))]
    counts = {
        ProcessId(pid, start): count
        for pid, start, count in census[["pid", "start_time", "map_count"]].tolist()
    }
    summaries: list[ProcessSummary] = []
    unreadable: list[Unreadable] = []
    with phases.timed(name, Phase.WALK):
        for done, result in enumerate(_walked(source, kernel, list(counts)), 1):
            if isinstance(result, Unreadable):
                unreadable.append(result)
            else:
                summaries.append(result)
            step(done, len(counts))
    with phases.timed(name, Phase.JUDGE):
        members = [
            _member(summary, counts.get(summary.id, -1), rules, limit) for summary in summaries
        ]
    if pids is not None:
        missing = sorted(set(pids) - {process.pid for process in counts})
        unreadable += [_not_there(pid) for pid in missing]
    else:
        # a capture remembers whom it could not see
        unreadable += source.unreadable
    with phases.timed(name, Phase.ADD_UP):
        sums = add_up(members)
        recoverable, undecided = known_recoverable(
            [process.recoverable for process in once(members)]
        )
    processes = [member.process for member in members]
    return HostScan(
        source.evidence,
        source.kernel,
        kernel,
        source.health().walk,
        limit,
        time.monotonic() - began,
        tuple(sorted(processes, key=lambda process: (-(process.map_count or 0), process.id))),
        tuple(sorted(unreadable, key=lambda process: process.id)),
        sum(sums.kinds),
        sums.kinds,
        sums.pairs,
        recoverable,
        undecided,
        phases.seconds_of(name),
    )


def _member(summary: ProcessSummary, count: int, rules: KernelRules, limit: int | None) -> Member:
    """One that was walked; ``count`` by the census is for one whose walk cannot count."""
    if summary.map_count is not None:
        count = summary.map_count
    now = Counted(count, -1, math.nan, math.nan, limit)
    judged = walked_process(summary, "", now, rules.judged(summary.facts), time.time())
    return Member(judged, summary.mm)


def _walked(
    source: Source, kernel: KernelInfo, processes: Iterable[ProcessId]
) -> Iterator[ProcessSummary | Unreadable]:
    """One result per process, its run counts by the rules of ``kernel``.

    A source counts runs by the rules of its own kernel; for another one's each address space
    is fetched whole, which is dearer.
    """
    if kernel == source.kernel:
        yield from source.summarise(processes)
        return
    counting = Counting(kernel)
    for process in processes:
        try:
            yield counting.summary(source.table(process))
        except ProcessGone as error:
            yield Unreadable(process, "", Unread.GONE, str(error))
        except CannotRead as error:
            yield Unreadable(process, "", why_unread(error), str(error))


def _not_there(pid: int) -> Unreadable:
    detail = "no such process, or one without an address space (a kernel thread, a zombie)"
    return Unreadable(ProcessId(pid, 0), "", Unread.GONE, detail)
