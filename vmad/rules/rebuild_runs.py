# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The runs of an address space that a rebuild would make one VMA each, and what is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from vmad.model.distinct import distinct
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.model.verdict import Verdict
from vmad.rules.carried import Carried, carried
from vmad.rules.rebuild import RebuildRules

_KINDS = {Kind.ANON_WRITABLE}
_OTHER_KINDS = {Kind.HEAP: "is the heap", Kind.STACK: "is the stack"}


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent VMAs [start, end), bytes, that are to be one; ``starts`` of each, ascending."""

    start: int
    end: int
    starts: tuple[int, ...]
    carried: Carried

    @property
    def vmas(self) -> int:
        """Number of VMAs in it: two or more, or one that is to join what was rebuilt below."""
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class RebuildRuns:
    """``left_out``: why, as words after "it", and how many pairs that would have joined."""

    runs: tuple[Run, ...]
    left_out: dict[str, int]

    @property
    def saved(self) -> int:
        """VMAs that would vanish if every page may be moved."""
        return sum(run.vmas - 1 for run in self.runs)

    @property
    def bytes(self) -> int:
        """Address space of the runs, bytes; what was never written to costs nothing."""
        return sum(run.end - run.start for run in self.runs)


def rebuild_runs(table: VmaTable, rules: RebuildRules) -> RebuildRuns:
    """Find them. A VMA that cannot be carried over ends a run, and its pairs are left out."""
    rows = table.rows
    facts = rows["facts"]
    values = distinct(facts[rows["pair"] != 0]).tolist()
    joins = {value for value in values if rules.judge(value).verdict is Verdict.MERGEABLE}
    joined = (rows["pair"] != 0) & np.isin(facts, list(joins))
    involved = joined.copy()
    involved[:-1] |= joined[1:]
    picked = np.flatnonzero(involved)
    runs: list[Run] = []
    left_out: Counter[str] = Counter()
    remembered: dict[tuple[int, int, bool], Carried | str] = {}
    starts: list[int] = []
    how: Carried | None = None
    refused: str | None = None
    end = 0
    for joins_below, start, to, flags, kind, file in zip(
        joined[picked].tolist(), *(rows[name][picked].tolist() for name in _COLUMNS), strict=True
    ):
        key = (flags, kind, bool(file))
        if key not in remembered:
            remembered[key] = how_carried(*key, rules.unasked)
        answer = remembered[key]
        why = answer if isinstance(answer, str) else refused
        if joins_below and why:
            left_out[why] += 1
        if not joins_below or why:
            runs += _closed(starts, end, how)
            starts = []
        if isinstance(answer, str):
            refused = answer
        else:
            refused, how = None, how if starts else answer
            starts.append(start)
        end = to
    runs += _closed(starts, end, how)
    return RebuildRuns(tuple(runs), dict(left_out))


def _closed(starts: list[int], end: int, how: Carried | None) -> list[Run]:
    return [Run(starts[0], end, tuple(starts), how)] if how and len(starts) > 1 else []


_COLUMNS = ("start", "end", "flags", "kind", "file")


def movable(flags: int, kind: int, file: bool, unasked: int) -> bool:
    """Whether a VMA can be a part of a run."""
    return isinstance(how_carried(flags, kind, file, unasked), Carried)


def how_carried(flags: int, kind: int, file: bool, unasked: int) -> Carried | str:
    """What a fresh area needs to be like a VMA; or why it is no part of a run.

    ``unasked`` is that of the kernel's RebuildRules.
    """
    if file:
        return "is a private mapping of a file (/dev/zero)"
    if kind not in _KINDS:
        return _OTHER_KINDS.get(Kind(kind), "may not be written to")
    return carried(flags, unasked)
