# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which processes are listed, and in which order."""

from __future__ import annotations

import pytest

from tests.unit.top.frames import FULL, HUGE, JAVA, NEAR, row
from vmad.top.order import Order, shown
from vmad.top.row import Row

ROWS = (HUGE, JAVA, FULL, NEAR)


def names(rows: list[Row]) -> list[str]:
    return [each.comm for each in rows]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.COUNT, ["burst_job", "käse-日本", "java", "unlimited"]),
        (Order.GROWTH, ["burst_job", "java", "käse-日本", "unlimited"]),
        (Order.TIME, ["burst_job", "käse-日本", "java", "unlimited"]),
        (Order.HIGH_WATER, ["burst_job", "käse-日本", "java", "unlimited"]),
        (Order.FAILURES, ["burst_job", "käse-日本", "java", "unlimited"]),
        (Order.PID, ["unlimited", "java", "burst_job", "käse-日本"]),
        (Order.NAME, ["burst_job", "java", "käse-日本", "unlimited"]),
    ],
)
def test_what_is_worse_comes_first_and_what_is_unknown_last(
    order: Order, expected: list[str]
) -> None:
    assert names(shown(ROWS, order)) == expected


def test_a_shrinking_process_comes_after_one_that_rests() -> None:
    rests, shrinks = row(1, "rests", 10, rate=0.0), row(2, "shrinks", 20, rate=-5.0)

    assert names(shown([shrinks, rests], Order.GROWTH)) == ["rests", "shrinks"]


def test_the_other_way_round() -> None:
    assert names(shown(ROWS, Order.COUNT, reverse=True))[-1] == "burst_job"


@pytest.mark.parametrize(
    ("filter_text", "expected"),
    [
        ("JAVA", ["java"]),
        ("1712", ["java"]),
        ("171", []),  # a pid is meant whole
        ("batch", ["burst_job"]),
        ("vm_pgoff", ["käse-日本"]),
        ("open java", ["java"]),
        ("open burst", []),
        ("", ["burst_job", "käse-日本", "java", "unlimited"]),
    ],
)
def test_every_word_of_the_filter_is_found(filter_text: str, expected: list[str]) -> None:
    assert names(shown(ROWS, Order.COUNT, filter_text=filter_text)) == expected
