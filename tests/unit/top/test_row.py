# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said of one process."""

from __future__ import annotations

import pytest

from tests.unit.sample import GUARDS, LATENT, pairs, process
from tests.unit.top.frames import FULL, LIMIT, row
from vmad.model.kinds import KIND_COUNT, Kind
from vmad.top.row import why_of


def kinds(**counts: int) -> tuple[int, ...]:
    found = [0] * KIND_COUNT
    for name, number in counts.items():
        found[Kind[name]] = number
    return tuple(found)


def test_a_process_at_its_limit_has_no_time_left_whatever_its_growth() -> None:
    assert FULL.seconds_to_limit == 0
    assert row(1, "full", LIMIT, rate=0.0).seconds_to_limit == 0
    assert row(1, "beyond", LIMIT + 2, rate=-3.0).seconds_to_limit == 0


@pytest.mark.parametrize(
    ("count", "rate", "left"),
    [
        (60_000, 10.0, 553.0),
        (60_000, 0.0, None),
        (60_000, -1.0, None),
        (60_000, None, None),
        (900, 200.0, None),  # a program that loads its libraries
        (60_000, 0.01, None),  # in a week
        (None, 3.0, None),
    ],
)
def test_a_forecast_is_made_near_the_limit_alone(
    count: int | None, rate: float | None, left: float | None
) -> None:
    assert row(1, "x", count, rate=rate).seconds_to_limit == left


def test_mostly_is_a_reason_where_pairs_are_much_of_it() -> None:
    one = process(1, "x", "g", 100, kinds=kinds(ANON_WRITABLE=60, ANON_NO_ACCESS=40),
                  pair_counts=pairs((GUARDS, 70), (LATENT, 90)))  # fmt: skip

    assert why_of(one) == "vm_flags:access 70"


def test_mostly_is_a_kind_where_pairs_are_few() -> None:
    one = process(1, "x", "g", 100, kinds=kinds(FILE=90, ANON_WRITABLE=10),
                  pair_counts=pairs((GUARDS, 9)))  # fmt: skip

    assert why_of(one) == "file 90"


def test_nothing_is_said_of_what_was_not_walked() -> None:
    assert why_of(process(1, "x", "g", 100)) == ""
