# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The budget in numbers: when to scan, sample and look at everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.scan.planner import (
    BREATH,
    SAMPLING_SHARE,
    Ledger,
    Plan,
    hurried_scan_in,
    is_full,
    most_owed,
    next_sample_in,
    next_scan_in,
)

PLAN = Plan(interval=15, full_every=10, sample_interval=1, budget=0.01)


def test_cheap_scans_keep_the_interval() -> None:
    assert next_scan_in(PLAN, 0.05) == 15


def test_dear_scans_stretch_it_to_the_budget() -> None:
    assert next_scan_in(PLAN, 0.9) == pytest.approx(90)


@pytest.mark.parametrize(("owed", "seconds"), [(0.0, BREATH), (0.05, 5), (0.149, 14.9), (0.3, 30)])
def test_hurry_cuts_the_interval_but_not_the_budget(owed: float, seconds: float) -> None:
    assert hurried_scan_in(PLAN, owed) == pytest.approx(seconds)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=1, max_size=60),
    st.floats(0.001, 1),
)
def test_average_never_exceeds_the_budget_whoever_is_in_a_hurry(
    scans: list[tuple[float, bool]], budget: float
) -> None:
    """Whatever scans cost, and however often a person asks for one at once: once all debts are
    waited for, no more was spent than the budget of the time that passed.
    """
    plan = Plan(15, 10, 1, budget)
    ledger, passed, spent = Ledger(), 0.0, 0.0
    for cpu, at_once in scans:
        ledger.spend(cpu)
        spent += cpu
        pause = BREATH if at_once else next_scan_in(plan, ledger.owed)
        ledger.wait(pause, budget)
        passed += pause
    passed += ledger.owed / budget

    assert spent <= passed * budget * (1 + 1e-9)


def test_interval_is_stretched_tenfold_at_most_and_the_debt_with_it() -> None:
    ledger = Ledger()
    ledger.spend(1_000, most_owed(PLAN))

    assert next_scan_in(PLAN, ledger.owed) == hurried_scan_in(PLAN, ledger.owed) == 150
    ledger.wait(150, PLAN.budget)
    assert ledger.owed == pytest.approx(0)


def test_rest_is_not_saved_up() -> None:
    ledger = Ledger()
    ledger.wait(86_400, 0.01)
    ledger.spend(0.5)

    assert next_scan_in(PLAN, ledger.owed) == pytest.approx(50)


def test_samples_take_a_quarter_of_the_budget_at_most() -> None:
    assert next_sample_in(PLAN, 0.0001) == 1
    assert next_sample_in(PLAN, 0.01) == pytest.approx(0.01 / (0.01 * SAMPLING_SHARE))
    assert next_sample_in(PLAN, 60) == 10


def test_sampling_may_be_switched_off() -> None:
    assert next_sample_in(Plan(15, 10, 0, 0.01), 0.0001) is None


def test_first_scan_and_every_tenth_look_at_everything() -> None:
    full, since = [], None
    for _ in range(21):
        now = is_full(PLAN, since)
        full.append(now)
        since = 0 if now else (since or 0) + 1

    assert [number for number, now in enumerate(full) if now] == [0, 10, 20]


def test_full_every_one_means_always() -> None:
    assert is_full(Plan(15, 1, 1, 0.01), 0)
