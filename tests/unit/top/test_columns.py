# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which columns fit, and what their cells say."""

from __future__ import annotations

import pytest

from tests.unit.top.frames import HUGE, JAVA, frame, row
from vmad.export.printable import text_width
from vmad.top.columns import head, layout, row_line, time_text
from vmad.top.inside import inside
from vmad.top.listing import help_lines, listing
from vmad.top.order import Order
from vmad.top.state import State
from vmad.top.text import plain


def titles(width: int) -> list[str]:
    return [column.title for column, _ in layout(width)]


def test_eighty_columns_have_room_for_all_but_words() -> None:
    assert titles(80) == [
        "PID", "NAME", "VMAS", "% LIMIT", "GROWTH/S", "HIGHEST", "LEFT", "FAILED", "",
    ]  # fmt: skip


def test_a_wider_terminal_shows_the_reason_and_then_the_group() -> None:
    assert "MOSTLY" in titles(120)
    assert "GROUP" in titles(200)


@pytest.mark.parametrize("width", [1, 10, 37, 60, 79, 80, 81, 99, 120, 133, 160, 200, 400])
@pytest.mark.parametrize("height", [1, 2, 5, 24])
def test_no_line_is_wider_and_no_screen_higher_than_the_terminal(width: int, height: int) -> None:
    for lines in (
        listing(frame(), State(), width, height),
        listing(frame(), State(typing=True, filter_text="x" * 300), width, height),
        inside(JAVA, None, 0, width, height),
        inside(None, None, 3, width, height),
        help_lines(width, height),
    ):
        assert len(lines) == height
        assert max(text_width(plain(line)) for line in lines) <= width


def test_what_is_unknown_is_a_dash_and_not_a_zero() -> None:
    cells = plain(row_line(HUGE, layout(80), False)).split()

    assert cells == ["77", "unlimited", "–", "–", "–", "–", "–", "–"]


def test_a_name_does_not_steer_the_columns() -> None:
    lines = [row_line(row(1, comm, 5), layout(80), False) for comm in ("a", "日本日本日本日本日")]

    assert len({text_width(plain(line)) for line in lines}) == 1


@pytest.mark.parametrize(("order", "marked"), [(Order.COUNT, "VMAS▾"), (Order.PID, "PID▾")])
def test_the_order_is_marked(order: Order, marked: str) -> None:
    assert marked in plain(head(layout(120), order, False))
    assert marked.replace("▾", "▴") in plain(head(layout(120), order, True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0, "now"), (0.2, "1 s"), (119.0, "119 s"), (600.0, "10 min"), (9e4, "25 h")],
)
def test_times_are_short(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


def test_a_million_is_short() -> None:
    assert "1.05 M" in plain(row_line(row(1, "x", 1_048_576), layout(80), False))
