# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A series as a small line: its shape, its gaps, and the limit."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vmad.timeline.rings import MISSING, Series
from vmad.web.pages.sparkline import HEIGHT, WIDTH, reduced, sparkline


def series(*values: int, step: int = 15) -> Series:
    return Series(1_800_000_000, step, np.array(values, np.int32))


def lines(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]
        for points in re.findall(r'points="([^"]*)"', svg)
    ]


def test_it_rises_to_the_right_where_counts_grow() -> None:
    (line,) = lines(sparkline(series(100, 200, 400)))

    assert [x for x, _ in line] == [WIDTH - 5, WIDTH - 3, WIDTH - 1]
    assert line[0][1] > line[1][1] > line[2][1] > 0


def test_a_gap_is_a_gap_and_one_number_alone_is_seen() -> None:
    none = [MISSING] * 4
    gaps = [100, 100, 100, *none, 100, *none, 100, 100]

    found = lines(sparkline(series(*gaps)))

    assert [len(line) for line in found] == [3, 2, 2]


def test_what_hardly_moves_is_flat() -> None:
    (line,) = lines(sparkline(series(1_000, 1_001, 1_000)))

    assert max(y for _, y in line) - min(y for _, y in line) < HEIGHT / 10


def test_it_says_in_words_what_it_shows() -> None:
    svg = sparkline(series(*[100] * 479, 65_531), series(*[MISSING] * 479, 12))

    assert 'aria-label="100 to 65,531 VMAs in 2 h 0 min, 12 failures at the limit"' in svg
    assert svg.count("<circle") == 1


@pytest.mark.parametrize("nothing", [None, series(MISSING, MISSING)])
def test_nothing_is_drawn_of_nothing(nothing: Series | None) -> None:
    assert sparkline(nothing) == ""


def test_many_slots_are_drawn_as_few_and_the_highest_stays() -> None:
    values = [1] * 477 + [9, MISSING, MISSING]

    assert reduced(values, 60) == [1] * 59 + [9]
    assert reduced([5, 1, 2, 3, 4], 2) == [5, 4]
    assert reduced([MISSING, MISSING], 60) == [MISSING, MISSING]
    assert len(lines(sparkline(series(*values)))[0]) == 60
