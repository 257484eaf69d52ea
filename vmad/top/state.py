# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person has chosen to see, and what each key changes of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vmad.model.process import ProcessId
from vmad.top.order import Order
from vmad.top.row import Row


@dataclass(frozen=True, slots=True)
class State:
    """``chosen`` is the row that the mark stands at (None: the first), ``opened`` the process that
    is looked into, ``first`` the line of it that is shown first. ``typing``: keys go into
    ``filter_text``, what names are filtered by.
    """

    order: Order = Order.COUNT
    reverse: bool = False
    filter_text: str = ""
    typing: bool = False
    paused: bool = False
    helped: bool = False
    chosen: ProcessId | None = None
    opened: ProcessId | None = None
    first: int = 0
    ended: bool = False


#: keys that move by so many rows, or pages
_STEPS = {"up": -1, "down": 1, "k": -1, "j": 1}
_PAGES = {"pageup": -1, "pagedown": 1}
_ENDS = {"home": -1, "end": 1}
_FAR = 1 << 30


def pressed(
    state: State, key: str, rows: Sequence[Row], page: int, character: str | None = None
) -> State:
    """The state after a key, ``rows`` being those that are shown now, ``page`` of them at once.

    ``character`` is what the key types, if it prints.
    """
    if state.typing:
        return _typed(state, key, character)
    if state.helped:
        return replace(state, helped=False, ended=key == "q")
    if state.opened is not None:
        return _within(state, key, page)
    return _listed(state, key, character, rows, page)


def _typed(state: State, key: str, character: str | None) -> State:
    if key == "enter":
        return replace(state, typing=False)
    if key == "escape":
        return replace(state, typing=False, filter_text="")
    if key == "backspace":
        return replace(state, filter_text=state.filter_text[:-1])
    if key == "ctrl+u":
        return replace(state, filter_text="")
    if character is not None and character.isprintable():
        return replace(state, filter_text=state.filter_text + character)
    return state


def _within(state: State, key: str, page: int) -> State:
    if key in ("escape", "q", "left", "backspace"):
        return replace(state, opened=None, first=0)
    if key == "question_mark":
        return replace(state, helped=True)
    if key == "space":
        return replace(state, paused=not state.paused)
    step = _STEPS.get(key, 0) + _PAGES.get(key, 0) * max(page - 1, 1) + _ENDS.get(key, 0) * _FAR
    return replace(state, first=max(state.first + step, 0))


def _listed(state: State, key: str, character: str | None, rows: Sequence[Row], page: int) -> State:
    at = place_of(state, rows)
    for order in Order:
        if key == order.value:
            return replace(state, order=order, reverse=False)
    if key == "s":
        orders = list(Order)
        following = orders[(orders.index(state.order) + 1) % len(orders)]
        return replace(state, order=following, reverse=False)
    if key == "r":
        return replace(state, reverse=not state.reverse)
    if key == "q":
        return replace(state, ended=True)
    if key == "slash" or character == "/":
        return replace(state, typing=True)
    if key == "escape":
        return replace(state, filter_text="")
    if key == "question_mark" or character == "?":
        return replace(state, helped=True)
    if key == "space":
        return replace(state, paused=not state.paused)
    if key in ("enter", "right") and rows:
        return replace(state, chosen=rows[at].id, opened=rows[at].id, first=0)
    step = _STEPS.get(key, 0) + _PAGES.get(key, 0) * page + _ENDS.get(key, 0) * _FAR
    if step and rows:
        return replace(state, chosen=rows[min(max(at + step, 0), len(rows) - 1)].id)
    return state


def place_of(state: State, rows: Sequence[Row]) -> int:
    """Where the chosen process stands among ``rows``; 0 where it is not there."""
    return next((at for at, row in enumerate(rows) if row.id == state.chosen), 0)
