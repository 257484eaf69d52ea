# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The pairs of one address space with their verdicts; judged once per distinct facts value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vmad.model.table import VmaTable
from vmad.model.verdict import Judgement


class Judge(Protocol):
    """Rules: facts in, verdict and reasons out."""

    def judge(self, facts: int) -> Judgement:
        """What these rules say of a pair with these facts."""


@dataclass(frozen=True, slots=True)
class PairCase:
    """One facts value and what both rules say of it."""

    facts: int
    stock: Judgement
    relaxed: Judgement


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """``upper[i]`` is the row of pair i's upper VMA, ``case[i]`` its index into ``cases``."""

    upper: npt.NDArray[np.int64]
    case: npt.NDArray[np.int64]
    cases: tuple[PairCase, ...]

    def __len__(self) -> int:
        return len(self.upper)

    def counts(self) -> list[int]:
        """Number of pairs of each case."""
        counts: list[int] = np.bincount(self.case, minlength=len(self.cases)).tolist()
        return counts


def judge_pairs(table: VmaTable, stock: Judge, relaxed: Judge) -> JudgedPairs:
    """Judge every pair of ``table`` by both rules."""
    upper = np.flatnonzero(table.rows["pair"] == 1)
    values, case = np.unique(table.rows["facts"][upper], return_inverse=True)
    cases = [PairCase(facts, stock.judge(facts), relaxed.judge(facts)) for facts in values.tolist()]
    return JudgedPairs(upper, case.astype(np.int64, copy=False), tuple(cases))
