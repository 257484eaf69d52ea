# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The view in a terminal: keys, the mouse, another size, new frames. How it looks: the goldens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.goldens.documents import explained
from tests.unit.top.frames import FEW, FULL, JAVA, Still, frame, row
from vmad.top.row import Frame
from vmad.top.view import Lines, Top


def driven(test: Callable[[Top, Any], Awaitable[None]], first: Frame | None = None) -> Top:
    """An app that a test drives, at 80 x 24."""
    app = Top(Still(explained()), first or frame())

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await test(app, pilot)

    asyncio.run(run())
    return app


def drawn(app: Top) -> list[str]:
    """What the widget draws, line by line."""
    lines = app.query_one(Lines)
    return [lines.render_line(y).text.rstrip() for y in range(app.size.height)]


def test_another_size_is_drawn_at_once() -> None:
    async def test(app: Top, pilot: Any) -> None:
        for width, height in ((200, 50), (33, 7), (120, 40), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            lines = drawn(app)
            assert len(lines) == height
            assert any("burst_job" in line for line in lines)
            assert ("batch.slice" in "\n".join(lines)) == (width >= 140)

    driven(test)


def test_a_new_frame_is_shown_and_a_paused_view_keeps_the_old_one() -> None:
    newer = frame(row(1, "newer", 5))

    async def test(app: Top, pilot: Any) -> None:
        await pilot.press("space")
        app.show(newer)
        await pilot.pause()
        assert "burst_job" in drawn(app)[4]
        await pilot.press("space")
        assert "newer" in drawn(app)[4]

    driven(test)


def test_a_process_that_ends_while_it_is_looked_into_is_said_to_be_gone() -> None:
    async def test(app: Top, pilot: Any) -> None:
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        assert "burst_job (pid 23935)" in drawn(app)[0]
        app.show(frame(JAVA))
        await pilot.pause()
        assert "gone" in drawn(app)[0]
        await pilot.press("escape")
        assert "java" in drawn(app)[4]

    driven(test)


def test_a_click_chooses_and_a_second_one_opens() -> None:
    async def test(app: Top, pilot: Any) -> None:
        await pilot.click(Lines, offset=(10, 6))
        assert drawn(app)[6].startswith("▸")
        await pilot.click(Lines, offset=(10, 6))
        await app.workers.wait_for_complete()
        assert "java (pid 1712)" in drawn(app)[0]

    driven(test)


def test_the_list_turns_its_pages() -> None:
    async def test(app: Top, pilot: Any) -> None:
        await pilot.press("end")
        assert drawn(app)[22].startswith("▸")
        await pilot.press("home")
        assert drawn(app)[4].startswith("▸")

    driven(test)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_it_ends(key: str) -> None:
    async def test(app: Top, pilot: Any) -> None:
        await pilot.press(key)

    assert driven(test).return_code == 0


def test_no_colour_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def test(app: Top, pilot: Any) -> None:
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        for strip in app.screen._compositor.render_strips(app.screen.size):
            for segment in strip:
                style = segment.style
                assert style is None or style.color is None or style.color.is_default
                assert style is None or style.bgcolor is None or style.bgcolor.is_default

    driven(test, frame(FULL, *FEW))
