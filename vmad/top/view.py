# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The terminal: draws what the pure part says, hands it the keys, watches in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from vmad.model.process import ProcessId
from vmad.top.inside import Inside, inside
from vmad.top.listing import ABOVE, first_shown, help_lines, listing, page_of, rows_of
from vmad.top.row import Frame
from vmad.top.state import State, place_of, pressed
from vmad.top.text import Line, Look, Part

LOOKS: dict[Look, Style] = {
    Look.PLAIN: Style(),
    Look.DIM: Style(dim=True),
    Look.BOLD: Style(bold=True),
    Look.HEADING: Style(bold=True, underline=True),
    Look.WARNING: Style(color="yellow", bold=True),
    Look.CRITICAL: Style(color="red", bold=True),
    Look.CHOSEN: Style(reverse=True),
    Look.CHOSEN_WARNING: Style(color="yellow", bold=True, reverse=True),
    Look.CHOSEN_CRITICAL: Style(color="red", bold=True, reverse=True),
}

#: rows that a notch of the wheel moves by
WHEEL = 3


class Lines(Widget, can_focus=True):
    """Draws the lines that ``made`` gives for a width and a height."""

    DEFAULT_CSS = "Lines { width: 100%; height: 100%; }"

    def __init__(self, made: Callable[[int, int], list[Line]]) -> None:
        super().__init__()
        self._made = made
        self._lines: list[Line] = []
        self._drawn = (0, 0)

    def renew(self) -> None:
        """Something has changed: draw the lines that look otherwise than before."""
        width, height = self.size
        before, self._lines = self._lines, self._made(width, height)
        if self._drawn != (width, height) or len(before) != len(self._lines):
            self._drawn = width, height
            self.refresh()
            return
        changed = [
            Region(0, y, width, 1)
            for y, (old, new) in enumerate(zip(before, self._lines, strict=True))
            if old != new
        ]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Another size, other lines."""
        self.renew()

    def render_line(self, y: int) -> Strip:
        """One line."""
        parts = self._lines[y] if y < len(self._lines) else ()
        return Strip([Segment(part.text, _style(part)) for part in parts]).adjust_cell_length(
            self.size.width
        )


def _style(part: Part) -> Style:
    style = LOOKS[part.look]
    if part.ground is None:
        return style
    return style + Style(color=_ink(part.ground), bgcolor=part.ground)


def _ink(ground: str) -> str:
    """Black or white, whichever is read better on ``ground`` (its luma, ITU-R BT.601)."""
    red, green, blue = (int(ground[at : at + 2], 16) for at in (1, 3, 5))
    return "#000000" if red * 299 + green * 587 + blue * 114 > 110_000 else "#ffffff"


class Watched(Protocol):
    """What the view asks for frames and for the inside of a process: see Watching."""

    @property
    def live(self) -> bool:
        """Whether there are further frames."""

    @property
    def pause(self) -> float:
        """Seconds until the next frame."""

    def step(self) -> Frame:
        """The next frame."""

    def look_into(self, process: ProcessId) -> Inside:
        """Read one process."""


class Top(App[None]):
    """``first`` is the frame to begin with; the thread that steps ``watching`` ends with it."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, watching: Watched, first: Frame) -> None:
        # the terminal's own colours: it may be light or dark, and NO_COLOR leaves it alone
        super().__init__(ansi_color=True)
        self._watching = watching
        self._frame = self._newest = first
        self._state = State()
        self._inside: Inside | None = None
        self._ending = threading.Event()
        self._lines = Lines(self._made)

    def compose(self) -> ComposeResult:
        """One widget that is all of the screen."""
        yield self._lines

    def on_mount(self) -> None:
        """Keys go to the lines; watching begins."""
        self._lines.focus()
        if self._watching.live:
            threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def on_unmount(self) -> None:
        """The thread ends at its next step."""
        self._ending.set()

    # --- what is drawn

    @property
    def lines(self) -> list[Line]:
        """What the screen shows."""
        return self._made(*self.size)

    def _made(self, width: int, height: int) -> list[Line]:
        state, frame = self._state, self._frame
        if state.helped:
            return help_lines(width, height)
        if state.opened is None:
            return listing(frame, state, width, height)
        return inside(frame.of(state.opened), self._inside, state.first, width, height)

    # --- what happens

    def show(self, frame: Frame) -> None:
        """A new frame; while it is paused it waits."""
        self._newest = frame
        if not self._state.paused:
            self._frame = frame
            self._lines.renew()

    def _watch(self) -> None:
        while not self._ending.wait(self._watching.pause):
            frame = self._watching.step()
            if not self._ending.is_set():
                self.call_from_thread(self.show, frame)

    def on_key(self, event: events.Key) -> None:
        """Every key but ctrl+c and the like."""
        if event.key in ("ctrl+c", "ctrl+q"):
            self.exit()
            return
        self._press(event.key, event.character)
        event.stop()

    def on_mouse_scroll_down(self) -> None:
        """As so many times down."""
        for _ in range(WHEEL):
            self._press("down")

    def on_mouse_scroll_up(self) -> None:
        """As so many times up."""
        for _ in range(WHEEL):
            self._press("up")

    def on_click(self, event: events.Click) -> None:
        """A row is chosen; the chosen one is opened."""
        state = self._state
        if state.opened is not None or state.helped:
            return
        rows = rows_of(self._frame, state)
        page = page_of(self.size.height)
        at = first_shown(place_of(state, rows), len(rows), page) + event.y - ABOVE
        if event.y < ABOVE or not 0 <= at < len(rows) or event.y - ABOVE >= page:
            return
        chosen = rows[at].id
        self._become(replace(state, chosen=chosen))
        if chosen == state.chosen:
            self._press("enter")

    def _press(self, key: str, character: str | None = None) -> None:
        rows = rows_of(self._frame, self._state)
        page = page_of(self.size.height)
        self._become(pressed(self._state, key, rows, page, character))

    def _become(self, state: State) -> None:
        before, self._state = self._state, state
        if state.ended:
            self.exit()
            return
        if not state.paused:
            self._frame = self._newest
        if state.opened is not None and state.opened != before.opened:
            self._inside = None
            self.run_worker(self._reader(state.opened), thread=True, exclusive=True)
        self._lines.renew()

    def _reader(self, process: ProcessId) -> Callable[[], None]:
        def read() -> None:
            inside = self._watching.look_into(process)
            self.call_from_thread(self._looked_into, process, inside)

        return read

    def _looked_into(self, process: ProcessId, inside: Inside) -> None:
        if self._state.opened == process:
            self._inside = inside
            self._lines.renew()
