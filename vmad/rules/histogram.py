# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From pairs counted by facts to pairs counted by verdict and decisive reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vmad.model.verdict import PairKey
from vmad.rules.base import Rules

#: (facts value, number of pairs), as in ``ProcessSummary.facts``
FactsHistogram = Iterable[tuple[int, int]]


def count_verdicts(histogram: FactsHistogram, rules: Rules) -> dict[PairKey, int]:
    """Pairs by verdict and decisive reason; the counts add up to the histogram's."""
    return count_verdicts_by(histogram, (rules,))


def count_verdicts_by(histogram: FactsHistogram, rules: Iterable[Rules]) -> dict[PairKey, int]:
    """As :func:`count_verdicts` for several rules at once: each counts every pair."""
    counts: Counter[PairKey] = Counter()
    several = tuple(rules)
    for facts, number in histogram:
        for each in several:
            judgement = each.judge(facts)
            counts[PairKey(each.name, judgement.verdict.value, judgement.decisive)] += number
    return dict(counts)
