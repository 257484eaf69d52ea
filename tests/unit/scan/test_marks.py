# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Marks of groups: as high as the highest of the window, whatever came after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmad.scan.marks import MOST_GROUPS, MOST_STEPS, Mark, Marks

DAY = 86_400.0


def marks_of(*marked: tuple[int, float], keep: float = DAY) -> Marks:
    marks = Marks(keep)
    for count, at in marked:
        marks.mark("db", count, at)
    return marks


def test_a_mark_stays_for_the_window_and_no_longer() -> None:
    marks = marks_of((65_531, 100.0))
    marks.expire(100.0 + DAY)
    assert marks.highest("db") == 65_531

    marks.expire(101.0 + DAY)
    assert marks.highest("db") is None
    assert list(marks.groups()) == []


def test_a_lower_mark_comes_out_when_the_higher_one_is_too_old() -> None:
    marks = marks_of((65_531, 0.0), (64_000, 3600.0), (2_000, 7200.0))
    marks.expire(1800.0 + DAY)

    assert marks.highest("db") == 64_000


def test_the_same_count_again_renews_the_mark() -> None:
    marks = marks_of((65_531, 0.0), (65_531, 3600.0))
    marks.expire(1800.0 + DAY)

    assert marks.highest("db") == 65_531


def test_the_last_time_up_there_is_that_of_any_count_high_enough() -> None:
    marks = marks_of((65_531, 0.0), (65_000, 3600.0), (2_000, 7200.0))

    assert marks.last_at("db", 60_000) == 3600.0
    assert marks.last_at("db", 65_531) == 0.0
    assert marks.last_at("db", 65_532) is None


def test_a_clock_that_was_set_back_leaves_no_mark_of_the_future() -> None:
    marks = marks_of((65_531, 10 * DAY))
    marks.expire(DAY)

    assert marks.last_at("db", 1) == DAY
    marks.expire(2.5 * DAY)
    assert marks.highest("db") is None


def test_a_mark_after_those_of_the_future_brings_them_back_to_now() -> None:
    marks = marks_of((65_531, 10 * DAY), (2_000, DAY))
    marks.expire(DAY)

    assert marks.leave()["db"] == (Mark(65_531, DAY), Mark(2_000, DAY))


def test_only_a_higher_mark_is_a_risen_one() -> None:
    marks = marks_of((5_000, 0.0))
    marks.risen = False
    marks.mark("db", 5_000, 1.0)
    marks.mark("db", 4_000, 2.0)
    assert not marks.risen

    marks.mark("db", 5_001, 3.0)
    assert marks.risen


def test_what_is_left_goes_on_as_it_was() -> None:
    marks = marks_of((65_531, 0.0), (64_000, 3600.0))
    other = Marks(DAY, marks.leave())

    assert other.leave() == {"db": (Mark(65_531, 0.0), Mark(64_000, 3600.0))}
    assert not other.risen


def test_groups_without_end_push_out_the_lowest() -> None:
    marks = Marks(DAY)
    marks.mark("db", 65_531, 0.0)
    for number in range(20 * MOST_GROUPS):
        marks.mark(f"comm/{number}", 2_000 + number % 7, float(number))

    assert len(marks.groups()) <= MOST_GROUPS
    assert marks.highest("db") == 65_531


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 100)), min_size=1, max_size=200),
    st.floats(0, 20_000),
)
def test_no_mark_of_the_window_is_missed(steps: list[tuple[int, float]], since: float) -> None:
    marks, now = Marks(DAY), 0.0
    seen = []
    for count, pause in steps:
        now += pause
        marks.mark("db", count, now)
        seen.append(Mark(count, now))
    wanted = max((mark.count for mark in seen if mark.at >= since), default=None)
    found = marks.highest("db", since)

    assert len(marks.leave()["db"]) <= MOST_STEPS
    if len({mark.count for mark in seen}) <= MOST_STEPS:
        assert found == wanted
    elif wanted is not None:
        # steps that became one stand for longer, never for less
        assert found is not None
        assert found >= wanted
