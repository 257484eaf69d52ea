# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said of one process."""

from __future__ import annotations

import pytest

from tests.unit.sample import GUARDS, LATENT, pairs, process
from tests.unit.top.frames import LIMIT, row
from vmad.model.kinds import KIND_COUNT, Kind
from vmad.top.row import why_of


def kinds(**counts: int) -> tuple[int, ...]:
    found = [0] * KIND_COUNT
    for name, number in counts.items():
        found[Kind[name]] = number
    return tuple(found)


@pytest.mark.parametrize(
    ("count", "left", "full"),
    [
        (LIMIT, 0.0, True),
        (LIMIT + 2, None, True),
        (LIMIT - 100, 0.0, True),  # it was there a moment ago
        (LIMIT - 100, 3.0, False),
        (None, None, False),
    ],
)
def test_at_the_limit_is_who_has_no_time_left(
    count: int | None, left: float | None, full: bool
) -> None:
    assert row(1, "x", count, seconds_to_limit=left).at_limit is full


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
