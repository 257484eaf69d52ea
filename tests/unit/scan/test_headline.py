# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is at the limit now comes before anything that may come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.sample import LIMIT, NOW, failure_tally, process, snapshot_of
from vmad.model.failures import LimitFailure
from vmad.model.process import ProcessId
from vmad.scan.headline import FAILING, at_limit, soonest


def failed(pid: int, count: int = 3, ago: float = 1.0) -> LimitFailure:
    return LimitFailure(
        ProcessId(pid, pid * 100), "db", "db.service", "mmap", "ENOMEM", count, NOW - ago,
        LIMIT + 1, LIMIT,
    )  # fmt: skip


FULL = replace(process(7, "db", "db.service", LIMIT + 1), seconds_to_limit=0.0)
CLIMBS = process(8, "java", "java.service", 50_000, rate=10.0)


@pytest.mark.parametrize(
    ("ago", "failures"), [(1.0, 5), (FAILING + 1, 0)], ids=["failing", "not any more"]
)
def test_who_is_at_the_limit_is_named_and_whether_it_fails(ago: float, failures: int) -> None:
    tally = failure_tally(last=(failed(7, ago=ago), failed(7, 2, ago), failed(99)))

    (one,) = at_limit(snapshot_of([FULL, CLIMBS]), tally, NOW)

    assert (one.process, one.failures, one.failing) == (FULL, failures, failures > 0)


def test_who_fails_comes_first() -> None:
    other = replace(FULL, id=ProcessId(9, 900))

    found = at_limit(snapshot_of([FULL, other]), failure_tally(last=(failed(9),)), NOW)

    assert [one.process.id.pid for one in found] == [9, 7]


def test_who_fails_just_below_the_limit_is_at_it() -> None:
    """mremap fails some VMAs before it."""
    below = process(7, "db", "db.service", LIMIT - 5, rate=0.0)
    far = process(9, "sh", "sh.service", 100)

    found = at_limit(snapshot_of([below, far]), failure_tally(last=(failed(7), failed(9))), NOW)

    assert [one.process.id.pid for one in found] == [7]


def test_nobody_counts_failures_and_the_limit_is_told_all_the_same() -> None:
    assert [one.failing for one in at_limit(snapshot_of([FULL]), None, NOW)] == [False]


def test_soonest_is_of_those_who_are_not_there_yet() -> None:
    assert soonest(snapshot_of([FULL, CLIMBS])) == CLIMBS
    assert soonest(snapshot_of([FULL])) is None
