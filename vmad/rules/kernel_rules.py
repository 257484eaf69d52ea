# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""All rules of one kernel as one value, and what they make of what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from vmad.model.kernel import KernelInfo
from vmad.model.table import VmaTable, histogram_of
from vmad.model.verdict import PairKey, Recoverable
from vmad.rules.base import Rules
from vmad.rules.histogram import FactsHistogram, count_verdicts_by
from vmad.rules.rebuild import RebuildRules, saved_by_rebuild
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import recoverable
from vmad.rules.stock import StockRules


class Judged(NamedTuple):
    """What the rules make of a histogram of facts: pairs by verdict and reason, and the VMAs that
    rebuilds would save.
    """

    pairs: Mapping[PairKey, int]
    rebuild: int | None


@dataclass(frozen=True, slots=True)
class KernelRules:
    """What a kernel does with a pair (``stock``), what it would do if it were patched
    (``relaxed``), and what a rebuild on it joins.
    """

    stock: StockRules
    relaxed: RelaxedRules
    rebuild: RebuildRules

    @staticmethod
    @lru_cache(maxsize=8)
    def of(kernel: KernelInfo) -> KernelRules:
        """Those of this kernel, made once: what they have judged they remember."""
        return KernelRules(StockRules(kernel), RelaxedRules(kernel), RebuildRules(kernel))

    @property
    def merging(self) -> tuple[Rules, ...]:
        """Those that say what a kernel merges: pairs are counted under each of them, and sources
        count its runs. In the order of vmad.model.verdict.MERGE_RULES.
        """
        return self.stock, self.relaxed

    def judged(self, histogram: FactsHistogram) -> Judged:
        """Of pairs counted by facts."""
        pairs = tuple(histogram)
        return Judged(count_verdicts_by(pairs, self.merging), saved_by_rebuild(pairs, self.rebuild))

    def merges_of(self, table: VmaTable) -> Recoverable:
        """VMAs of a table that would vanish by merging, by the rules that merge."""
        return {rules.name: recoverable(table, rules) for rules in self.merging}

    def recoverable_of(self, table: VmaTable) -> Recoverable:
        """VMAs of a table that would vanish, by all rules."""
        saved = saved_by_rebuild(histogram_of(table.rows), self.rebuild)
        return {**self.merges_of(table), self.rebuild.name: saved}
