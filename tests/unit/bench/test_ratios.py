# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Medians, quartiles, and ratios of what was measured in turn."""

import os

import pytest

from bench.measure import Cost, cost_of, cost_ratio, cpu_seconds_of, in_turn
from bench.ratios import Spread, paired, spread, worse


def test_spread_is_the_median_and_the_quartiles() -> None:
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, 2.0, 4.0)


def test_spread_of_one_value_has_no_width() -> None:
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_nothing_measured_is_no_number() -> None:
    with pytest.raises(ValueError, match="no value"):
        spread([])


def test_a_slow_spell_that_hits_both_sides_cancels() -> None:
    assert paired([1.0, 10.0, 1.0], [2.0, 20.0, 2.0]) == Spread(0.5, 0.5, 0.5)


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([1.0, 2.0], [1.0])


def test_the_worse_clock_is_judged() -> None:
    ratio = cost_ratio([Cost(wall=3.0, cpu=1.0)], [Cost(wall=2.0, cpu=1.0)])
    assert ratio.judged == Spread(1.5, 1.5, 1.5)
    assert worse(ratio.cpu, ratio.wall) == ratio.wall


def test_subjects_are_measured_in_turn_and_warmed_up_first() -> None:
    order: list[str] = []

    def subject(name: str) -> Cost:
        order.append(name)
        return Cost(len(order), 0.0)

    costs = in_turn({"a": lambda: subject("a"), "b": lambda: subject("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert [cost.wall for cost in costs["a"]] == [3, 5]


def test_cost_is_of_one_call() -> None:
    calls: list[int] = []
    cost = cost_of(lambda: calls.append(1), times=4)
    assert len(calls) == 4
    assert cost.wall >= 0


def test_the_cpu_clock_of_a_process_runs() -> None:
    before = cpu_seconds_of(os.getpid())
    sum(range(100_000))
    assert cpu_seconds_of(os.getpid()) > before
