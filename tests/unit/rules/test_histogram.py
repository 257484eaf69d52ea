# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts by verdict and reason add up to the number of pairs, whatever the facts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.rules.strategies import RELAXED, STOCK, any_facts, pair
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.verdict import PairKey
from vmad.rules.histogram import count_verdicts, count_verdicts_by

BOTH = (STOCK["6.1.0"], RELAXED["6.1.0"])


@given(st.dictionaries(any_facts, st.integers(1, 2**40), max_size=20))
def test_each_rules_count_every_pair_once(histogram: dict[int, int]) -> None:
    counts = count_verdicts_by(histogram.items(), BOTH)

    for rules in BOTH:
        own = {key: number for key, number in counts.items() if key.rules == rules.name}
        assert sum(own.values()) == sum(histogram.values())
        assert own == count_verdicts(histogram.items(), rules)


def test_pairs_are_counted_under_their_decisive_reason() -> None:
    different = pair(AnonVma.SINGULAR, AnonVma.SINGULAR, exclusive="ab")
    one_sided = pair(AnonVma.NONE, AnonVma.SINGULAR)
    histogram = [
        (0, 5), (one_sided, 2), (different, 7), (different | f.PGOFF, 1), (f.MAPS_UNKNOWN, 3),
    ]  # fmt: skip

    assert count_verdicts_by(histogram, BOTH) == {
        PairKey("stock", "mergeable", "latent"): 5,
        PairKey("stock", "mergeable", "latent_one_sided"): 2,
        PairKey("stock", "blocked", "anon_vma_differs"): 8,
        PairKey("stock", "unknown", "anon_vma_unknown"): 3,
        PairKey("relaxed", "mergeable", "latent"): 13,
        PairKey("relaxed", "mergeable", "latent_one_sided"): 2,
        PairKey("relaxed", "unknown", "anon_vma_unknown"): 3,
    }
