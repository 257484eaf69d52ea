# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Numbers over time, in slots of several widths."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.timeline.rings import MISSING, MOST, RESOLUTIONS, Fold, Resolution, Rings

#: Unix seconds at which a slot of every resolution begins
NOW = 1_800_000_000
FINE, COARSE = Resolution(1, 4), Resolution(10, 3)


def rings(fold: Fold = Fold.MOST, rows: int = 2) -> Rings:
    return Rings(rows, fold, (FINE, COARSE))


def put(into: Rings, at: float, *values: int) -> None:
    into.put(np.arange(len(values)), np.array(values, np.int32), at)


def seen(of: Rings, span: float, until: float, row: int = 0) -> list[int]:
    numbers: list[int] = of.read(row, span, until).values.tolist()
    return numbers


@pytest.mark.parametrize(
    ("fold", "expected"), [(Fold.MOST, 7), (Fold.SUM, 12), (Fold.LAST, 5)], ids=str
)
def test_numbers_of_one_slot_are_folded(fold: Fold, expected: int) -> None:
    those = rings(fold)

    put(those, NOW, 7)
    put(those, NOW + 0.9, 5)
    put(those, NOW + 0.9, MISSING)

    assert seen(those, 1, NOW) == [expected]
    assert seen(those, 10, NOW) == [expected]


@pytest.mark.parametrize("fold", Fold)
def test_what_was_never_put_is_missing_and_not_zero(fold: Fold) -> None:
    those = rings(fold)

    put(those, NOW, 0, MISSING)
    put(those, NOW + 2, 3, MISSING)

    assert seen(those, 4, NOW + 2) == [MISSING, 0, MISSING, 3]
    assert seen(those, 4, NOW + 2, row=1) == [MISSING] * 4


def test_sums_stay_within_a_slot() -> None:
    those = rings(Fold.SUM)

    put(those, NOW, MOST)
    put(those, NOW, MOST)

    assert seen(those, 1, NOW) == [MOST]


def test_the_oldest_slot_makes_room() -> None:
    those = rings()

    for second in range(6):
        put(those, NOW + second, 100 + second)

    assert seen(those, 4, NOW + 5) == [102, 103, 104, 105]


def test_a_span_beyond_the_finest_is_read_in_the_next() -> None:
    those = rings()

    for second in range(25):
        put(those, NOW + second, 100 + second)
    found = those.read(0, 30, NOW + 24)

    assert (found.step, found.start, found.until) == (10, NOW, NOW + 30)
    assert found.values.tolist() == [109, 119, 124]
    assert those.read(0, 10_000, NOW + 24).values.tolist() == [109, 119, 124]


def test_what_is_read_later_ends_with_slots_that_hold_nothing() -> None:
    those = rings()

    put(those, NOW, 7)

    assert seen(those, 4, NOW + 2) == [MISSING, 7, MISSING, MISSING]
    assert seen(those, 4, NOW + 1000) == [MISSING] * 4


def test_a_pause_longer_than_the_ring_leaves_nothing() -> None:
    those = rings()

    for second in range(4):
        put(those, NOW + second, 7)
    put(those, NOW + 1000, 9)

    assert seen(those, 4, NOW + 1000) == [MISSING, MISSING, MISSING, 9]


def test_a_clock_that_is_set_back_takes_what_is_to_come_with_it() -> None:
    those = rings()

    for second in range(4):
        put(those, NOW + second, 100 + second)
    put(those, NOW + 1, 7)

    assert seen(those, 4, NOW + 3) == [100, 101, MISSING, MISSING]
    assert seen(those, 10, NOW + 3) == [103]


def test_new_rows_are_empty_and_old_ones_stay() -> None:
    those = rings(rows=1)
    put(those, NOW, 7)

    those.make_room(3)

    assert seen(those, 1, NOW) == [7]
    assert seen(those, 1, NOW, row=2) == [MISSING]


def test_resolutions_cover_minutes_hours_and_a_day() -> None:
    assert [(each.step, each.span) for each in RESOLUTIONS] == [(1, 300), (15, 7200), (300, 86400)]


@pytest.mark.parametrize("fold", Fold)
def test_a_number_at_several_times_is_that_number_put_each_time(fold: Fold) -> None:
    one_by_one, at_once = rings(fold), rings(fold)
    rows, values = np.arange(2), np.array([3, MISSING], np.int32)
    put(one_by_one, NOW - 1, 5, 6)
    put(at_once, NOW - 1, 5, 6)
    # gaps, a slot met twice, and more than the finest ring holds
    times = [NOW, NOW + 0.5, NOW + 1, NOW + 3, NOW + 12, NOW + 13.5]

    for at in times:
        one_by_one.put(rows, values, at)
    at_once.put(rows, values, *times)

    assert at_once.newest == one_by_one.newest
    for ours, theirs in zip(at_once.tables, one_by_one.tables, strict=True):
        assert ours.tolist() == theirs.tolist()
