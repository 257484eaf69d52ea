# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The runs of one kernel, reduced to medians and spreads. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vmad.lab.compare.record import Look, Record

Figure = tuple[float, float, float]  #: median, lowest, highest
Figures = Mapping[str, Figure | None]  #: None: not known
When = Literal["peak", "end"]

#: refusals of attempts that no part of the patch series could lift (docs/patched-kernel.md)
_NOT_LIFTED = {
    "vm_flags", "vm_file", "mempolicy", "vm_userfaultfd_ctx", "anon_vma_name", "vm_ops_close",
    "anon_vma_chain",
}  # fmt: skip
_SHARED = {"anon_vma_shared", "vm_pgoff_shared", "page_shared", "page_ksm"}


@dataclass(frozen=True, slots=True)
class Summary:
    """One kernel's runs: ``figures`` for the table, the others for a plot each."""

    release: str
    evidence: str
    figures: Figures
    recoverable: Figures
    calls: Figures
    attempts: Figures
    peak_pairs: Figures
    end_pairs: Figures

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summary_of(records: Sequence[Record]) -> Summary:
    """The records of one kernel, of which there is at least one."""
    recoverable = {
        f"{kernel} kernel, at the {when}": _over(_look_at(when), records, _recoverable(rules))
        for when in _WHEN
        for rules, kernel in (("stock", "stock"), ("relaxed", "patched"))
    }
    calls = _by_name([record.calls for record in records])
    attempts = _by_name([record.attempts for record in records])
    figures = {
        "VMAs at the peak": figure(record.highest for record in records),
        "VMAs when judged nearest to the peak": _over(_look_at("peak"), records, _vmas),
        "VMAs at the end": _over(_look_at("end"), records, _vmas),
        "VMAs of all processes at once": figure(
            max(sample.all_vmas for sample in record.samples) for record in records
        ),
        "processes at once": figure(
            max(sample.processes for sample in record.samples) for record in records
        ),
        "run time, s": figure(record.run_seconds for record in records),
        "pairs at the peak": figure(sum(stock_pairs(record.peak).values()) for record in records),
        "samples taken": figure(len(record.samples) for record in records),
    }
    if attempts:
        figures["attempts to merge"] = figure(sum(record.attempts.values()) for record in records)
        figures["of those beyond stock, refused as shared, %"] = figure(
            stay_shared(record.attempts) for record in records
        )
    return Summary(
        release=records[0].release,
        evidence=records[0].evidence,
        figures={
            **figures,
            **{f"recoverable, {name}": value for name, value in recoverable.items()},
            **{f"calls of {name}": value for name, value in calls.items()},
        },
        recoverable=recoverable,
        calls=calls,
        attempts=attempts,
        peak_pairs=_by_name([stock_pairs(record.peak) for record in records]),
        end_pairs=_by_name([stock_pairs(record.end) for record in records]),
    )


def figure(values: Iterable[float | None]) -> Figure | None:
    """Median and spread; None as soon as one run does not know its value."""
    known = list(values)
    numbers = [float(value) for value in known if value is not None]
    if not known or len(numbers) < len(known):
        return None
    return statistics.median(numbers), min(numbers), max(numbers)


def stay_shared(attempts: Mapping[str, int]) -> float | None:
    """Of the attempts that stock refuses for anon_vma or page offset, the percentage that a patched
    kernel refuses as well because pages are shared; None when there was no such attempt.
    """
    beyond = shared = 0
    for name, count in attempts.items():
        outcome, reason = name.split(" ")
        if name == "merged stock" or (outcome == "refused" and reason in _NOT_LIFTED):
            continue
        beyond += count
        shared += count if reason in _SHARED else 0
    return 100 * shared / beyond if beyond else None


def stock_pairs(look: Look | None) -> dict[str, int]:
    """Pairs by decisive reason under the stock rules; none where nothing was judged."""
    counts: dict[str, int] = {}
    for pair in look.pairs if look else ():
        if pair.rules == "stock":
            blocked = pair.verdict == "blocked"
            name = pair.reason if blocked else f"{pair.verdict}: {pair.reason}"
            counts[name] = counts.get(name, 0) + pair.number
    return counts


_WHEN: tuple[When, ...] = ("peak", "end")


def _look_at(when: When) -> Callable[[Record], Look | None]:
    return lambda record: record.peak if when == "peak" else record.end


def _vmas(look: Look) -> float:
    return look.vmas


def _recoverable(rules: str) -> Callable[[Look], float | None]:
    return lambda look: look.recoverable[rules]


def _over(
    look_of: Callable[[Record], Look | None],
    records: Sequence[Record],
    value: Callable[[Look], float | None],
) -> Figure | None:
    """A figure over what was judged; not known where one record was not judged."""
    looks = [look_of(record) for record in records]
    return figure(None if look is None else value(look) for look in looks)


def _by_name(counts: Sequence[Mapping[str, int]]) -> dict[str, Figure | None]:
    """Figures of counts; a run that lacks a name has none of it."""
    names = dict.fromkeys(name for count in counts for name in count)
    return {name: figure(count.get(name, 0) for count in counts) for name in names}
