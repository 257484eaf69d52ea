# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is near the limit, or new and large, is walked before the next scan, on a budget."""

from __future__ import annotations

import pytest

from tests.unit.scan.hosts import Imagined, scanned_of
from vmad.model.process import Unread
from vmad.scan.planner import NEAR, Ledger, Plan, near_scan_at, next_scan_at


def test_who_is_near_and_moves_is_due() -> None:
    host, scanner, _ = scanned_of(Imagined(1, 100), Imagined(2, 60_000))
    assert not scanner.samples.is_urgent(NEAR)

    host[1].map_count = 5_000
    scanner.samples.take()
    assert not scanner.samples.is_urgent(NEAR)

    host[2].map_count = 61_000
    scanner.samples.take()
    assert scanner.samples.is_urgent(NEAR)


def test_who_is_new_and_large_is_due() -> None:
    host, scanner, _ = scanned_of(Imagined(1, 100))
    host.processes.append(Imagined(7, 300))
    scanner.samples.take()
    assert not scanner.samples.is_urgent(NEAR)

    host[7].map_count = 2_000
    scanner.samples.take()
    assert scanner.samples.is_urgent(NEAR)
    assert {one.id.pid for one in scanner.scan(full=False, near=NEAR).processes} == {1, 7}

    host[7].map_count = 3_000
    scanner.samples.take()
    assert not scanner.samples.is_urgent(NEAR)


def test_nobody_is_due_before_a_sample_or_after_the_source_went() -> None:
    host, scanner, _ = scanned_of(Imagined(1, 64_000))
    host[1].map_count = 65_000
    scanner.use(host)

    assert not scanner.samples.is_urgent(NEAR)


def test_a_scan_of_who_is_near_walks_them_alone() -> None:
    host, scanner, clock = scanned_of(Imagined(1, 100), Imagined(2, 60_000))
    taken_at = clock.now
    host[1].map_count, host[2].map_count = 5_000, 61_000
    clock.now += 2

    snapshot = scanner.scan(full=False, near=NEAR)

    assert {one.pid: one.walks for one in host.processes} == {1: 1, 2: 2}
    assert {one.id.pid: one.map_count for one in snapshot.processes} == {1: 5_000, 2: 61_000}
    # of the others what was walked is as old as it was
    assert (snapshot.taken_at, snapshot.counted_at) == (taken_at, clock.now)
    assert not scanner.samples.is_urgent(NEAR)
    scanner.scan(full=False)
    assert host[1].walks == 2


def test_who_is_near_and_may_not_be_read_is_not_tried_each_second() -> None:
    host, scanner, _ = scanned_of(Imagined(1, 60_000, why=Unread.PERMISSION))
    assert not scanner.samples.is_urgent(NEAR)

    host[1].map_count = 60_500
    scanner.samples.take()
    scanner.scan(full=False, near=NEAR)
    assert not scanner.samples.is_urgent(NEAR)


PLAN = Plan(interval=15, full_every=10, sample_interval=1, budget=0.01)


@pytest.mark.parametrize(
    ("owed", "seconds"), [(0.0, 1), (0.005, 1), (0.05, 5), (1.0, 100), (9.0, 150)]
)
def test_near_scans_keep_to_the_budget_and_take_a_breath(owed: float, seconds: float) -> None:
    assert near_scan_at(PLAN, owed, usual=90, began=100) == 100 + seconds


@pytest.mark.parametrize(("owed", "seconds"), [(0.0, 1), (0.3, 1), (0.75, 1), (1.0, 100)])
def test_the_first_near_scan_after_one_of_everybody_may_borrow(owed: float, seconds: float) -> None:
    assert near_scan_at(PLAN, owed, usual=100, began=100) == 100 + seconds


def test_near_scans_that_never_end_keep_to_the_budget_and_starve_nobody() -> None:
    """Each takes 50 ms, and somebody is urgent all the time: an hour of it."""
    ledger, now, usual, began, spent, everybody = Ledger(), 0.0, 0.0, 0.0, 0.0, 0
    while now < 3600:
        due = next_scan_at(PLAN, ledger.owed, usual, began)
        near = near_scan_at(PLAN, ledger.owed, usual, began)
        now = min(due, near)
        ledger.wait(now - began, PLAN.budget)
        began = now
        if due <= near:
            usual, everybody = now, everybody + 1
        ledger.spend(0.05)
        spent += 0.05

    assert spent <= 0.01 * 3600 + 0.75
    assert everybody >= 3600 / 15 / 2


def test_near_scans_do_not_push_the_scan_of_everybody_away() -> None:
    assert next_scan_at(PLAN, 0.02, usual=100, began=100) == 115
    assert next_scan_at(PLAN, 0.02, usual=100, began=112) == 115
    assert next_scan_at(PLAN, 0.05, usual=100, began=113) == 118  # it has to be paid first
    assert next_scan_at(PLAN, 9.0, usual=100, began=113) == 263  # tenfold at most
