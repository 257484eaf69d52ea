# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The past as a line of blocks."""

from __future__ import annotations

from vmad.top.sparkline import sparkline


def test_growth_rises_from_the_lowest_block_to_the_highest() -> None:
    assert sparkline([100, 200, 300, 400, 500, 600, 700, 800], 8) == "▁▂▃▄▅▆▇█"


def test_what_does_not_move_lies_at_the_bottom_however_high_it_is() -> None:
    assert sparkline([65_530] * 4, 4) == "▁▁▁▁"


def test_a_library_that_is_loaded_is_no_mountain() -> None:
    assert "█" not in sparkline([100, 100, 104], 3)


def test_the_newest_is_at_the_right_and_what_is_not_known_is_blank() -> None:
    assert sparkline([-1, -1, 0, 800], 5) == "   ▁█"
    assert sparkline([0, -1, 800], 3) == "▁ █"


def test_a_peak_is_kept_where_several_counts_share_a_column() -> None:
    assert sparkline([0, 0, 0, 800, 0, 0], 3) == "▁█▁"


def test_nothing_known_is_blank() -> None:
    assert sparkline([], 3) == "   "
    assert sparkline([-1, -1], 3) == "   "
    assert sparkline([5], 0) == ""
