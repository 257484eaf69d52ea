# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is shown of one process, and of all at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vmad.model.kinds import KIND_TEXT, Kind
from vmad.model.process import ProcessId
from vmad.model.verdict import Verdict
from vmad.scan.snapshot import JudgedProcess
from vmad.top.past import Counts

#: no forecast is made for a process with a smaller share of its limit, …
FORECAST_FROM = 0.1
#: … nor one that is further away than this (seconds)
FORECAST_TO = 86_400.0


@dataclass(frozen=True, slots=True)
class Row:
    """One process now. ``rate`` is VMAs per second; ``failures`` are calls that failed at the
    limit, None where nobody counts them; ``why`` is what most of its VMAs are lost to; ``past``
    its counts, oldest first, -1 unknown.
    """

    id: ProcessId
    comm: str  #: printable
    map_count: int | None
    limit: int | None
    high_water: int | None = None
    rate: float | None = None
    failures: int | None = None
    group: str = ""
    why: str = ""
    past: Sequence[int] | Counts = field(default=(), compare=False)

    @property
    def ratio(self) -> float | None:
        """map_count by limit."""
        if self.map_count is None or not self.limit:
            return None
        return self.map_count / self.limit

    @property
    def at_limit(self) -> bool:
        """Whether calls fail now."""
        return self.ratio is not None and self.ratio >= 1

    @property
    def seconds_to_limit(self) -> float | None:
        """0 at the limit; None where it does not grow, or where a forecast would be a guess."""
        if self.at_limit:
            return 0.0
        if self.map_count is None or not self.limit or not self.rate or self.rate <= 0:
            return None
        left = (self.limit - self.map_count) / self.rate
        near = self.map_count >= FORECAST_FROM * self.limit
        return left if near and left <= FORECAST_TO else None


@dataclass(frozen=True, slots=True)
class Frame:
    """All processes at one moment (``at``, Unix seconds; None: it is not now)."""

    machine: str  #: what is watched: a host, a guest, a capture
    rows: tuple[Row, ...]
    limit: int | None
    kernel: str
    evidence: str
    at: float | None = None
    unreadable: int = 0
    #: what is worth knowing of the evidence, one line each
    notes: tuple[str, ...] = field(default=())

    def of(self, process: ProcessId | None) -> Row | None:
        """The row of this process, None where it is gone."""
        return next((row for row in self.rows if row.id == process), None)

    @property
    def nearest(self) -> Row | None:
        """The process with the most VMAs."""
        return max(self.rows, key=lambda row: (row.map_count or 0, -row.id.pid), default=None)


def why_of(process: JudgedProcess) -> str:
    """("vm_pgoff 11,999"): the stock reason that keeps most pairs apart, or the largest kind."""
    reasons = Counter[str]()
    for key, number in process.pairs.items():
        if key.rules == "stock" and key.verdict != Verdict.MERGEABLE.value:
            reasons[key.reason] += number
    if not sum(process.kinds):
        return ""
    kind = max(Kind, key=lambda each: process.kinds[each])
    if reasons:
        reason, number = reasons.most_common(1)[0]
        if number * 2 >= process.kinds[kind]:
            return f"{reason} {number:,}"
    return f"{KIND_TEXT[kind]} {process.kinds[kind]:,}"
