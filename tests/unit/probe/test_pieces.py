# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a rebuild is spread over stops."""

from __future__ import annotations

from collections import deque

import pytest

from vmad.probe.cost import PER_PIECE, Pace, move_seconds
from vmad.probe.pieces import give_back, lowest_in


def test_what_goes_back_joins_what_it_is_adjacent_to() -> None:
    """Else a VMA between two ranges would be alone in its own."""
    waiting = deque([(30, 40), (60, 70)])
    give_back(waiting, [(20, 30), (50, 60), (10, 12)])

    assert list(waiting) == [(10, 12), (20, 40), (50, 70)]


def test_the_lowest_address_in_a_range_is_found_and_its_end_is_outside() -> None:
    assert lowest_in(10, 20, [5, 12, 13, 20]) == 12
    assert lowest_in(14, 20, [5, 12, 13, 20]) == 0
    assert lowest_in(20, 21, [5, 12, 13, 20]) == 20


def test_a_slow_piece_makes_the_next_ones_smaller_at_once() -> None:
    pace = Pace()
    before = pace.seconds(100, 0)
    pace.note(100, 0, 2 * before + PER_PIECE)

    assert pace.seconds(100, 0) == pytest.approx(2 * before)
    pace.note(100, 0, 1000 * before)
    assert pace.seconds(100, 0) == pytest.approx(4 * before)


def test_after_many_fast_pieces_the_next_ones_are_as_large_as_they_can_be() -> None:
    pace, estimate = Pace(), move_seconds(100, 0)
    for _ in range(40):
        pace.note(100, 0, estimate + PER_PIECE)

    assert pace.seconds(100, 0) == pytest.approx(estimate, rel=0.01)


def test_a_tiny_piece_never_makes_the_next_ones_smaller() -> None:
    """What it takes is mostly not the moving."""
    pace = Pace()
    before = pace.seconds(100, 0)
    pace.note(2, 0, 0.01)

    assert pace.seconds(100, 0) < before
