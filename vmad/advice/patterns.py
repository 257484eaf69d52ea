# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which pattern each VMA of an address space belongs to. Pure; a table and its pairs come in.

The tests go from what is certain to what is left over: gigabytes reserved behind small memories,
files by object, then areas without access and what they guard, then pairs by all of their reasons,
then what is no pair at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.advice.finding.closed import give_closed, give_growing, give_wasm
from vmad.advice.finding.files import give_files
from vmad.advice.finding.layout import NUMBER, UNSET, Layout, Rows
from vmad.advice.finding.pairs import give_pairs
from vmad.advice.finding.singles import give_singles
from vmad.advice.pattern import Pattern
from vmad.advice.situation import PatternCount
from vmad.model.table import VmaTable
from vmad.rules.judged_pairs import JudgedPairs

#: bytes; blocks of malloc have a header, so that hardly one in 16 is a multiple of it
ROUND = 64 << 10


@dataclass(frozen=True)
class Patterned:
    """``of_row[i]`` is the index of row i's pattern in ``order``; ``counts`` most VMAs first."""

    of_row: npt.NDArray[np.uint8]
    counts: tuple[PatternCount, ...]

    def rows(self, pattern: Pattern) -> Rows:
        """The table's rows that belong to it, ascending."""
        return np.flatnonzero(self.of_row == NUMBER[pattern])


def find_patterns(
    table: VmaTable, pairs: JudgedPairs, threads: int | None, page_shift: int
) -> Patterned:
    """Every row under exactly one pattern.

    ``threads`` is how many the process has, if known; ``page_shift`` is log2 of its page size.
    """
    rows = table.rows
    of_row = np.full(len(rows), UNSET, np.uint8)
    if len(rows):
        layout = Layout(table, of_row, page_shift)
        give_wasm(layout)
        objects = give_files(layout)
        give_growing(layout)
        give_closed(layout, threads)
        give_pairs(layout, pairs)
        give_singles(layout)
    else:
        objects = {}
    return Patterned(of_row, _counted(table, of_row, pairs, objects))


def _counted(
    table: VmaTable, of_row: npt.NDArray[np.uint8], pairs: JudgedPairs, objects: dict[Pattern, int]
) -> tuple[PatternCount, ...]:
    writable = (table.rows["perms"] & 2) != 0
    size = (table.rows["end"] - table.rows["start"]).astype(np.int64)
    of_upper = of_row[pairs.upper]
    counts = []
    for pattern, vmas in zip(Pattern, np.bincount(of_row, minlength=len(Pattern)), strict=False):
        if not vmas:
            continue
        among = of_row == NUMBER[pattern]
        pieces = size[among & writable]
        reasons: Counter[str] = Counter()
        cases = np.bincount(pairs.case[of_upper == NUMBER[pattern]], minlength=len(pairs.cases))
        for number in np.flatnonzero(cases).tolist():
            stock = pairs.cases[number].stock
            for reason in stock.reasons or (stock.decisive,):
                reasons[reason] += int(cases[number])
        counts.append(
            PatternCount(
                pattern,
                int(vmas),
                dict(reasons.most_common()),
                int(np.median(pieces)) if len(pieces) else None,
                objects.get(pattern),
                float(np.mean(pieces % ROUND == 0)) if len(pieces) else None,
            )
        )
    return tuple(sorted(counts, key=lambda count: -count.vmas))
