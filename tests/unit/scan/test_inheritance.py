# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A new history goes on where the one before ended, for the processes that are still the same."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.scan.history import History
from vmad.scan.inheritance import OLDEST_ANCHOR
from vmad.sources.source import CENSUS_ROW, Census


def census(**columns: tuple[int, ...]) -> Census:
    length = len(columns["pid"])
    rows = np.zeros(length, dtype=CENSUS_ROW)
    rows["start_time"] = 7
    rows["mm"] = [0xFFFF_8881_0000_0000 + number * 64 for number in range(length)]
    for name, values in columns.items():
        rows[name] = values
    return rows


def first_life() -> History:
    """Three processes over 60 seconds: the first bursts, the second grows by 100 per second."""
    history = History()
    for second in range(0, 61, 5):
        burst = 60_000 if second == 30 else 100
        history.sample(
            census(pid=(1, 2, 3), map_count=(burst, 1000 + second * 100, 50)), 1000.0 + second
        )
    return history


def test_marks_and_growth_go_on() -> None:
    after = History(first_life().leave())
    after.sample(census(pid=(1, 2, 3), map_count=(100, 7500, 50)), 1065.0)

    assert after.high_water.tolist() == [60_000, 7500, 50]
    # at once, where a history without past knows no rate for its first seconds
    assert after.rate.tolist() == pytest.approx([0, 100, 0])


def test_processes_that_came_and_went_meanwhile_are_no_trouble() -> None:
    after = History(first_life().leave())
    rows = census(pid=(1, 4), map_count=(100, 5))
    after.sample(rows, 1065.0)

    assert after.high_water.tolist() == [60_000, 5]
    assert np.isnan(after.rate[1])


def test_another_process_under_the_same_pid_inherits_nothing() -> None:
    after = History(first_life().leave())
    after.sample(census(pid=(1, 2, 3), start_time=(8, 7, 7), map_count=(100, 7500, 50)), 1065.0)

    assert after.high_water[0] == 100


def test_a_process_that_execed_meanwhile_inherits_nothing() -> None:
    after = History(first_life().leave())
    rows = census(pid=(1, 2, 3), map_count=(100, 7500, 50))
    rows["mm"][0] += 4096
    after.sample(rows, 1065.0)

    assert after.high_water[0] == 100


def test_growth_of_long_ago_is_forgotten_and_marks_are_not() -> None:
    after = History(first_life().leave())
    now = 1060.0 + OLDEST_ANCHOR + 1
    after.sample(census(pid=(1, 2, 3), map_count=(100, 7500, 50)), now)

    assert after.high_water[0] == 60_000
    assert np.isnan(after.rate).all()


def test_no_kernel_address_is_left() -> None:
    left = first_life().leave()
    assert left is not None

    addresses = census(pid=(1, 2, 3), map_count=(0, 0, 0))["mm"]
    assert all(int(mm).to_bytes(8, "little") not in left.tobytes() for mm in addresses)


def test_an_empty_past_is_none() -> None:
    assert History().leave() is None
    before = History()
    before.sample(census(pid=(), map_count=()), 1.0)
    after = History(before.leave())
    after.sample(census(pid=(5,), map_count=(9,)), 2.0)

    assert after.high_water.tolist() == [9]
