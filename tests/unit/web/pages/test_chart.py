# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts over time and what happened meanwhile, drawn and in words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from vmad.timeline.rings import MISSING, Series
from vmad.web.pages.chart import chart, happened, said
from vmad.web.pages.past import Episode, Happened, Past, bridged

START = 1_800_000_000
NO = MISSING


def series(*values: int, step: int = 15) -> Series:
    return Series(START, step, np.array(values, np.int32))


QUIET = Past(
    counts=series(100, 200, 300, 400),
    failures=None,
    limit=series(*[65_530] * 4),
    starts=None,
    pauses=series(*[100] * 4),
    watched=series(*[400] * 4),
)
FULL = replace(QUIET, counts=series(100, 60_000, 65_531, 65_530), failures=series(NO, NO, 7, 5))


def what(past: Past) -> list[tuple[Happened, int, int, int]]:
    return [
        (one.what, (one.start - START) // 15, (one.end - START) // 15, one.most)
        for one in past.episodes()
    ]


def test_nothing_happens_on_a_quiet_host() -> None:
    assert what(QUIET) == []
    assert happened(QUIET.episodes()) == ""


def test_the_limit_and_what_failed_there_is_one_episode_each() -> None:
    assert what(FULL) == [(Happened.FAILED, 2, 4, 12), (Happened.FULL, 2, 4, 65_531)]


def test_the_newest_limit_counts() -> None:
    lowered = replace(QUIET, limit=series(65_530, 65_530, NO, 300))

    assert what(lowered) == [(Happened.FULL, 2, 4, 400)]


def test_a_restart_and_the_time_without_vmad() -> None:
    past = replace(
        QUIET, watched=series(9, NO, NO, NO, 9, NO, NO), starts=series(NO, NO, NO, 1, NO, NO, NO)
    )

    assert what(past) == [(Happened.STARTED, 3, 4, 1), (Happened.UNWATCHED, 1, 3, 0)]


def test_a_restart_within_a_slot_is_no_time_without_vmad() -> None:
    past = replace(QUIET, watched=series(9, 9, 9), starts=series(NO, 1, NO))

    assert what(past) == [(Happened.STARTED, 1, 2, 1)]


def test_a_time_that_nobody_counted_is_no_time_without_vmad() -> None:
    """Evidence may hang, a guest may not answer."""
    assert what(replace(QUIET, watched=series(9, NO, NO, NO, NO, 9))) == []


def test_a_late_sample_does_not_cut_an_episode_in_two() -> None:
    past = replace(
        QUIET,
        counts=series(65_531, NO, 65_531, 65_530, 9),
        failures=series(4, NO, 7, NO, NO, step=15),
    )

    assert what(past) == [(Happened.FAILED, 0, 3, 11), (Happened.FULL, 0, 4, 65_531)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, NO, 6], [5, 5, 6]),
        ([5, 6, NO, NO, NO, NO, 7], [5, 6, NO, NO, NO, NO, 7]),
        ([NO, 5, NO, NO], [NO, 5, NO, NO]),
        # a guest that is read every fourth slot
        ([5, NO, NO, NO, 6, NO, NO, NO, 7], [5, 5, 5, 5, 6, 6, 6, 6, 7]),
        ([NO, NO], [NO, NO]),
    ],
)
def test_slots_between_samples_hold_the_one_before(values: list[int], expected: list[int]) -> None:
    assert bridged(series(*values)).values.tolist() == expected


def test_stretched_pauses_say_how_far() -> None:
    past = replace(QUIET, pauses=series(100, 150, 320, 100))

    assert what(past) == [(Happened.STRETCHED, 1, 3, 320)]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Episode(Happened.FAILED, 0, 15, 1), "failed at the limit, 1 call"),
        (Episode(Happened.FULL, 0, 15, 65_531), "at the limit, with 65,531 VMAs"),
        (Episode(Happened.STARTED, 0, 15, 1), "vmad was started"),
        (Episode(Happened.STARTED, 0, 15, 3), "vmad was started, 3 times"),
        (
            Episode(Happened.STRETCHED, 0, 15, 320),
            "scans further apart than configured, for the budget: up to 3.2 times",
        ),
        (Episode(Happened.UNWATCHED, 0, 90, 0), "vmad was not running, for 1 min 30 s"),
    ],
)
def test_every_episode_is_said_in_words(one: Episode, words: str) -> None:
    assert said(one) == words


def test_a_chart_says_what_it_shows() -> None:
    svg = chart(FULL, "db.service")

    assert 'aria-label="db.service: 100 to 65,531 VMAs in 1 min 0 s; the limit is 65,530"' in svg
    assert '<line class="limit"' in svg
    assert 'class="failed" style="left:50.00%;width:50.00%" title="failed at the limit, 12' in svg


def test_a_limit_that_is_far_above_is_not_drawn() -> None:
    svg = chart(QUIET, "db.service")

    assert '<line class="limit"' not in svg
    assert '<span class="y" style="bottom:0.00%">0</span>' in svg
    tops = [int(one.replace(",", "")) for one in re.findall(r'class="y"[^>]*>([0-9,]+)<', svg)]
    assert 400 < max(tops) <= 800


@pytest.mark.parametrize("most", [0, 1, 3, 9, 99, 1_000, 65_531, 1_048_576, 2**31 - 1])
def test_every_scale_holds_its_numbers(most: int) -> None:
    svg = chart(replace(QUIET, counts=series(most), limit=None), "x")

    heights = [
        float(point.split(",")[1])
        for points in re.findall(r'class="counts" points="([^"]*)"', svg)
        for point in points.split()
    ]
    assert all(0 <= y <= 100 for y in heights)
    assert 2 <= svg.count('class="y"') <= 8


def test_a_gap_is_not_drawn_over() -> None:
    svg = chart(replace(QUIET, counts=series(100, 100, NO, NO, NO, NO, 400)), "x")

    assert svg.count('class="counts"') == 2


def test_nothing_known_is_said_so() -> None:
    assert "Nothing is remembered" in chart(replace(QUIET, counts=series(NO, NO)), "x")


def test_names_full_of_markup_are_text() -> None:
    svg = chart(QUIET, '"><script>alert(1)</script>')

    assert "<script" not in svg
    assert svg.count('"') % 2 == 0
