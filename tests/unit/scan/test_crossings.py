# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A threshold is told once, and again only after the count was well below it."""

from __future__ import annotations

import pytest

from vmad.model.process import ProcessId
from vmad.scan.crossings import Crossings, Near

LIMIT = 1000


def near(count: int, pid: int = 7) -> Near:
    return Near(ProcessId(pid, 1), "java", "search.service", count)


def told(counts: list[int]) -> list[float]:
    """The thresholds that are told of one process that has these counts one after the other."""
    crossings = Crossings()
    return [
        crossing.threshold
        for count in counts
        for crossing in crossings.look([near(count)] if count >= 750 else [], LIMIT)
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([700, 799], []),
        ([800, 810, 899], [0.8]),
        ([800, 900, 950, 1000, 1001], [0.8, 0.9, 0.95, 1.0]),
        ([100, 970], [0.95]),  # the highest alone
        ([1002], [1.0]),
        ([810, 790, 810, 770, 810], [0.8]),  # moves about it
        ([810, 749, 810], [0.8, 0.8]),  # was well below
        ([1000, 960, 1000, 951, 1000], [1.0]),
        ([1000, 940, 1000], [1.0, 1.0]),
        ([910, 860, 910], [0.9]),
        ([910, 849, 910], [0.9, 0.9]),
        ([1000, 880, 920, 1000], [1.0, 1.0]),  # 90 % was not left
    ],
)
def test_thresholds(counts: list[int], expected: list[float]) -> None:
    assert told(counts) == expected


def test_a_process_of_the_same_pid_is_another_one() -> None:
    crossings = Crossings()
    crossings.look([near(900)], LIMIT)
    again = Near(ProcessId(7, 2), "java", "search.service", 900)

    assert [each.near.process for each in crossings.look([again], LIMIT)] == [ProcessId(7, 2)]


def test_the_nearest_is_told_first() -> None:
    found = Crossings().look([near(800, 1), near(1000, 2), near(900, 3)], LIMIT)

    assert [each.near.process.pid for each in found] == [2, 3, 1]


def test_a_limit_that_is_raised_arms_again_and_an_unknown_one_tells_nothing() -> None:
    crossings = Crossings()
    assert crossings.look([near(900)], None) == []
    assert len(crossings.look([near(900)], LIMIT)) == 1
    assert crossings.look([], 10 * LIMIT) == []
    assert len(crossings.look([near(900)], LIMIT)) == 1
