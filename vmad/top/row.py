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


@dataclass(frozen=True, slots=True)
class Row:
    """One process now. ``rate`` is VMAs per second, ``seconds_to_limit`` as vmad.scan.forecast has
    it: 0 at the limit, None where nothing is foretold; ``failures`` are calls that failed at the
    limit, None where nobody counts them; ``why`` is what most of its VMAs are lost to; ``past``
    its counts, oldest first, -1 unknown.
    """

    id: ProcessId
    comm: str  #: printable
    map_count: int | None
    limit: int | None
    high_water: int | None = None
    rate: float | None = None
    seconds_to_limit: float | None = None
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
        """Whether calls fail now, or would have a moment ago."""
        return self.seconds_to_limit == 0 or (self.ratio is not None and self.ratio >= 1)


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
    kind = max(Kind, key=lambda candidate: process.kinds[candidate])
    if reasons:
        reason, number = reasons.most_common(1)[0]
        if number * 2 >= process.kinds[kind]:
            return f"{reason} {number:,}"
    return f"{KIND_TEXT[kind]} {process.kinds[kind]:,}"
