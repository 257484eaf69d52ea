# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts are remembered with their process, whoever comes and goes."""

from __future__ import annotations

from tests.unit.scan.hosts import Imagined, census_of
from vmad.top.past import Past
from vmad.top.sparkline import known_part


def pasts(past: Past) -> list[list[int]]:
    return [known_part(row) for row in past.columns()]


def test_counts_are_oldest_first_and_bounded() -> None:
    past, one = Past(3), Imagined(1)
    for count in (1, 2, 3, 4, 5):
        one.map_count = count
        past.sample(census_of([one]))

    assert pasts(past) == [[3, 4, 5]]


def test_who_comes_begins_and_who_goes_is_forgotten() -> None:
    past, one, other, third = Past(8), Imagined(1), Imagined(5), Imagined(9)
    past.sample(census_of([other, third]))
    past.sample(census_of([one, other]))

    assert pasts(past) == [[100], [100, 100]]

    past.sample(census_of([one, other, third]))
    assert pasts(past) == [[100, 100], [100, 100, 100], [100]]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    past = Past(8)
    past.sample(census_of([Imagined(5, 70_000)]))
    past.sample(census_of([Imagined(5, 3, start_time=2)]))

    assert pasts(past) == [[3]]


def test_an_empty_census_is_none() -> None:
    past = Past(8)
    past.sample(census_of([Imagined(5)])[:0])
    past.sample(census_of([Imagined(5)]))

    assert pasts(past) == [[100]]
