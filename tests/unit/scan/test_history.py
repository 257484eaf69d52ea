# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is remembered of processes while they come, go, exec and grow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.scan.hosts import Imagined, census_of
from vmad.scan.history import GROWTH_WINDOW, MOST_TOLD, TELL_AGAIN, History
from vmad.scan.inheritance import ANCHORS


def sampled(history: History, now: float, *processes: Imagined, counts: bool = True) -> None:
    history.sample(census_of(processes, counts), now)


def by_pid(history: History, column: np.ndarray) -> dict[int, float]:
    assert history.census is not None
    return dict(zip(history.census["pid"].tolist(), column.tolist(), strict=True))


def test_high_water_outlives_a_burst_that_is_over_at_the_next_sample() -> None:
    history = History()
    for now, count in enumerate((100, 60_000, 120)):
        sampled(history, now, Imagined(7, count))

    assert by_pid(history, history.high_water) == {7: 60_000}


def test_arrivals_and_departures_leave_the_marks_of_the_others_alone() -> None:
    history = History()
    sampled(history, 0, Imagined(10, 100), Imagined(20, 200), Imagined(30, 300))
    sampled(history, 1, Imagined(10, 90), Imagined(20, 190), Imagined(30, 290))
    sampled(history, 2, Imagined(5, 1), Imagined(20, 180), Imagined(25, 2), Imagined(30, 280))

    assert by_pid(history, history.high_water) == {5: 1, 20: 200, 25: 2, 30: 300}


def test_change_tells_who_arrived_and_how_many_went() -> None:
    history = History()
    sampled(history, 0, Imagined(10), Imagined(20))
    change = history.sample(census_of([Imagined(15), Imagined(20), Imagined(40)]), 1)

    assert (change.arrived.tolist(), change.gone) == ([0, 2], 1)


@pytest.mark.parametrize("other", [{"start_time": 9}, {"mm": 77}])
def test_reused_pid_and_exec_begin_anew(other: dict[str, int]) -> None:
    history = History()
    sampled(history, 0, Imagined(7, 5_000))
    sampled(history, 10, Imagined(7, 100, **other))  # type: ignore[arg-type]

    assert by_pid(history, history.high_water) == {7: 100}
    assert np.isnan(history.rate).all()


def test_everybody_may_go() -> None:
    history = History()
    sampled(history, 0, Imagined(1))
    sampled(history, 1)
    sampled(history, 2, Imagined(2, 50))

    assert by_pid(history, history.high_water) == {2: 50}


def test_rate_is_measured_over_the_window_and_not_longer() -> None:
    """Ten VMAs per second for ten minutes, then none: after a window the rate is 0 again."""
    history = History()
    for second in range(600):
        sampled(history, second, Imagined(7, 10 * second))
    growing = by_pid(history, history.rate)[7]
    for second in range(600, 600 + int(GROWTH_WINDOW * (ANCHORS + 1) / ANCHORS) + 2):
        sampled(history, second, Imagined(7, 5_990))

    assert growing == pytest.approx(10)
    assert by_pid(history, history.rate) == {7: 0}


def test_rate_of_a_newcomer_counts_from_its_first_sample() -> None:
    history = History()
    sampled(history, 0, Imagined(1))
    sampled(history, 3, Imagined(1), Imagined(2, 100))
    sampled(history, 5, Imagined(1), Imagined(2, 160))

    assert by_pid(history, history.rate)[2] == pytest.approx(30)


def test_loading_of_libraries_is_no_growth() -> None:
    """30 VMAs at the exec, 300 a tenth of a second later: not 2,700 per second."""
    history = History()
    sampled(history, 0, Imagined(7, 30))
    sampled(history, 0.1, Imagined(7, 300))
    assert np.isnan(history.rate).all()
    sampled(history, 5, Imagined(7, 300))

    assert by_pid(history, history.rate) == {7: 54}


def test_one_sample_tells_no_rate() -> None:
    history = History()
    sampled(history, 0, Imagined(7))

    assert np.isnan(history.rate).all()


def test_census_without_counts_neither_marks_nor_moves_the_anchors() -> None:
    """procfs has no counts; those of its walks come in between censuses that have none."""
    history = History()
    for second in range(0, 200, 10):
        sampled(history, second, Imagined(7, 2 * second), counts=False)
        counted = census_of([Imagined(7, 2 * second)], counts=False)
        counted["map_count"] = 2 * second
        history.sample(counted, second + 0.001)

    assert by_pid(history, history.rate)[7] == pytest.approx(2, rel=1e-3)
    assert by_pid(history, history.high_water) == {7: 380}


def test_unknown_counts_stay_unknown() -> None:
    history = History()
    sampled(history, 0, Imagined(7), counts=False)

    assert by_pid(history, history.high_water) == {7: -1}
    assert np.isnan(history.left(65_530)).all()


def left(history: History, limit: int | None) -> dict[int, float]:
    return by_pid(history, history.left(limit))


def test_seconds_to_the_limit() -> None:
    history = History()
    for now, counts in ((0, (100, 150, 1_100)), (10, (200, 100, 1_200))):
        sampled(history, now, *(Imagined(pid, n) for pid, n in enumerate(counts, 1)))
    seconds = left(history, 1_200)

    assert seconds[1] == pytest.approx(100)  # 1,000 to go, 10 per second
    assert np.isnan(seconds[2])  # it shrinks
    assert seconds[3] == 0  # it is there
    assert np.isnan(history.left(None)).all()


def test_who_is_at_the_limit_stays_there_whatever_its_growth() -> None:
    history = History()
    for second in range(200):
        sampled(history, second, Imagined(7, min(40_000 + 1_000 * second, 65_530)))

    assert left(history, 65_530) == {7: 0}
    assert by_pid(history, history.rate) == {7: 0}


def test_who_frees_a_little_at_the_limit_is_still_at_it() -> None:
    history = History()
    sampled(history, 0, Imagined(7, 65_530))
    sampled(history, 5, Imagined(7, 65_100))
    assert left(history, 65_530) == {7: 0}

    sampled(history, 10, Imagined(7, 64_000))
    assert np.isnan(left(history, 65_530)[7])


def test_nothing_is_foretold_of_a_program_that_loads_its_libraries() -> None:
    """Python: 30 VMAs at the exec, 400 three seconds later, and no more."""
    history = History()
    told = []
    for second in range(120):
        sampled(history, second, Imagined(7, min(30 + 125 * second, 405)))
        told.append(left(history, 65_530)[7])

    assert np.isnan(told).all()


def test_nothing_is_foretold_of_who_is_far_away_and_slow() -> None:
    """A compiler at 0.1 % of the limit that grows by one VMA a second."""
    history = History()
    for second in range(60):
        sampled(history, second, Imagined(7, 65 + second))

    assert np.isnan(left(history, 65_530)[7])


def test_who_is_far_away_and_fast_is_told_of_once_it_goes_on() -> None:
    history = History()
    told = {}
    for second in range(32):
        sampled(history, second, Imagined(7, 30 + 100 * second))
        told[second] = left(history, 65_530)[7]

    assert np.isnan([told[second] for second in range(30)]).all()
    assert told[31] == pytest.approx((65_530 - 3_130) / 100)


def test_who_is_beyond_half_of_the_limit_is_told_of_at_once() -> None:
    history = History()
    sampled(history, 0, Imagined(7, 30_000))
    sampled(history, 2, Imagined(7, 50_000))

    assert left(history, 65_530)[7] == pytest.approx(1.553)


def test_only_what_was_walked_and_did_not_move_is_unchanged() -> None:
    history = History()
    there = [Imagined(1), Imagined(2), Imagined(3), Imagined(4)]
    sampled(history, 0, *there)
    assert history.changed().all()

    history.walked(np.array([0, 1, 2]))
    assert history.changed().tolist() == [False, False, False, True]

    there[1].map_count += 1
    there[2].lock_seq += 2
    sampled(history, 1, *there)
    assert history.changed().tolist() == [False, True, True, True]


def test_exec_is_a_change_though_all_numbers_are_the_same() -> None:
    history = History()
    sampled(history, 0, Imagined(1, mm=5))
    history.walked(np.array([0]))
    sampled(history, 1, Imagined(1, mm=6))

    assert history.changed().all()


def test_walk_that_failed_is_due_again() -> None:
    history = History()
    sampled(history, 0, Imagined(1), Imagined(2))
    history.walked(np.array([0, 1]))
    history.not_walked([2, 99])

    assert history.changed().tolist() == [False, True]


def told(history: History, now: float) -> list[int]:
    """The pids whose groups are told."""
    rows = history.high(1_000, now)
    assert history.census is not None
    pids: list[int] = history.census["pid"][rows].tolist()
    return pids


def test_groups_are_told_of_what_rose_and_again_after_a_while() -> None:
    history = History()
    sampled(history, 0, Imagined(1, 999), Imagined(2, 1_000), Imagined(3, 5_000))
    assert told(history, 0) == [3, 2]
    sampled(history, 1, Imagined(1, 999), Imagined(2, 1_000), Imagined(3, 5_000))
    assert told(history, 1) == []
    sampled(history, 2, Imagined(1, 999), Imagined(2, 1_001), Imagined(3, 4_000))
    assert told(history, 2) == [2]
    sampled(history, TELL_AGAIN, Imagined(1, 999), Imagined(2, 1_001), Imagined(3, 4_000))
    assert told(history, TELL_AGAIN) == [3]


def test_another_process_as_high_in_the_same_place_is_told_of() -> None:
    history = History()
    sampled(history, 0, Imagined(1, 5_000), Imagined(9))
    assert told(history, 0) == [1]
    sampled(history, 1, Imagined(2, 5_000), Imagined(9))
    assert told(history, 1) == [2]


def test_no_more_are_told_at_once_than_can_be_named_and_nobody_is_left_out() -> None:
    history = History()
    crowd = [Imagined(pid, 2_000 + pid) for pid in range(1, 2 * MOST_TOLD + 11)]
    found = []
    for now in range(4):
        sampled(history, now, *crowd)
        found.append(told(history, now))

    assert [len(each) for each in found] == [MOST_TOLD, MOST_TOLD, 10, 0]
    assert [pid for pids in found for pid in pids] == [one.pid for one in reversed(crowd)]
