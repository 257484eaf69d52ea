# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One scan, for a person who asks now: no history, no groups, everything read and judged once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, ProcessGone
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.verdict import PairKey
from vmad.rules.histogram import count_verdicts_by
from vmad.rules.rebuild import RebuildRules, saved_by_rebuild
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.stock import StockRules
from vmad.scan.aggregate import RULES
from vmad.scan.snapshot import JudgedProcess, Recoverable
from vmad.sources.counting import Counting, page_shift_of
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
    rules = (StockRules(kernel), RelaxedRules(kernel))
    rebuild = RebuildRules(kernel)
    began = time.monotonic()
    census = source.census()
    if pids is not None:
        census = census[np.isin(census["pid"], list(pids))]
    there = [ProcessId(*row) for row in census[["pid", "start_time"]].tolist()]
    counts = dict(zip(there, census["map_count"].tolist(), strict=True))
    summaries: list[ProcessSummary] = []
    unreadable: list[Unreadable] = []
    for done, found in enumerate(_walked(source, kernel, there), 1):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            summaries.append(found)
        step(done, len(there))
    judged = [_judged(found, counts, rules, rebuild, source.max_map_count) for found in summaries]
    if pids is not None:
        missing = sorted(set(pids) - {process.pid for process in there})
        unreadable += [_not_there(pid) for pid in missing]
    else:
        # a capture remembers whom it could not see
        unreadable += getattr(source, "unreadable", ())
    sums = _added_up(zip(summaries, judged, strict=True))
    return HostScan(
        source.evidence,
        source.kernel,
        kernel,
        source.health().walk,
        source.max_map_count,
        time.monotonic() - began,
        tuple(sorted(judged, key=lambda process: (-(process.map_count or 0), process.id))),
        tuple(sorted(unreadable, key=lambda process: process.id)),
        int(sums.kinds.sum()),
        tuple(sums.kinds.tolist()),
        sums.pairs,
        sums.recoverable,
        sums.undecided,
    )


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
    counting = Counting(kernel, page_shift_of(source))
    for process in processes:
        try:
            yield counting.summary(source.table(process))
        except ProcessGone as error:
            yield Unreadable(process, "", Unread.GONE, str(error))
        except CannotRead as error:
            yield Unreadable(process, "", why_unread(error), str(error))


def _judged(
    summary: ProcessSummary,
    census: Mapping[ProcessId, int],
    rules: tuple[StockRules, RelaxedRules],
    rebuild: RebuildRules,
    limit: int | None,
) -> JudgedProcess:
    map_count = summary.map_count
    if map_count is None and census.get(summary.id, -1) >= 0:
        map_count = census[summary.id]
    return JudgedProcess(
        id=summary.id,
        comm=summary.comm,
        group="",
        map_count=map_count,
        ratio=map_count / limit if map_count is not None and limit else None,
        high_water=None,
        rate=None,
        seconds_to_limit=None,
        kinds=summary.kinds,
        pairs=count_verdicts_by(summary.facts, rules),
        recoverable={
            "stock": summary.recoverable_stock,
            "relaxed": summary.recoverable_relaxed,
            "rebuild": saved_by_rebuild(summary.facts, rebuild),
        },
    )


def _not_there(pid: int) -> Unreadable:
    detail = "no such process, or one without an address space (a kernel thread, a zombie)"
    return Unreadable(ProcessId(pid, 0), "", Unread.GONE, detail)


@dataclass(slots=True)
class _Sums:
    """Sums over address spaces; one that several processes share (``mm``) is counted once."""

    kinds: npt.NDArray[np.int64]
    pairs: Counter[PairKey]
    recoverable: dict[str, int | None]
    undecided: dict[str, int]


def _added_up(found: Iterable[tuple[ProcessSummary, JudgedProcess]]) -> _Sums:
    kinds = np.zeros(KIND_COUNT, np.int64)
    pairs: Counter[PairKey] = Counter()
    recoverable = dict.fromkeys(RULES, 0)
    undecided = dict.fromkeys(RULES, 0)
    seen: set[int] = set()
    for summary, process in found:
        if summary.mm and summary.mm in seen:
            continue
        seen.add(summary.mm)
        kinds += np.array(process.kinds)
        pairs.update(process.pairs)
        for name, number in process.recoverable.items():
            if number is None:
                undecided[name] += 1
            else:
                recoverable[name] += number
    return _Sums(kinds, pairs, dict(recoverable), undecided)
