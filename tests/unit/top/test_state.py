# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What each key changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.top.frames import FEW, JAVA
from vmad.top.order import Order
from vmad.top.row import Row
from vmad.top.state import State, place_of, pressed


def after(*keys: str, state: State | None = None, rows: Sequence[Row] = FEW) -> State:
    state = state or State()
    for key in keys:
        state = pressed(state, key, rows, 10, key if len(key) == 1 else None)
    return state


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        (["down"], 1),
        (["down", "down", "up"], 1),
        (["up"], 0),
        (["pagedown"], 10),
        (["end"], 59),
        (["end", "down"], 59),
        (["end", "home"], 0),
        (["end", "pageup"], 49),
    ],
)
def test_the_mark_moves_within_the_list(keys: list[str], at: int) -> None:
    assert place_of(after(*keys), FEW) == at


def test_the_mark_stays_with_its_process_when_the_order_changes() -> None:
    state = after("down", "down")

    assert place_of(state, FEW[::-1]) == 57


def test_the_mark_goes_to_the_first_when_its_process_is_gone() -> None:
    assert place_of(State(chosen=JAVA.id), FEW) == 0


@pytest.mark.parametrize("order", Order)
def test_each_order_has_its_key(order: Order) -> None:
    assert after("r", order.value) == State(order=order)


def test_s_goes_through_all_orders() -> None:
    assert after(*["s"] * len(Order)).order is State().order


def test_keys_go_into_the_filter_while_it_is_typed() -> None:
    assert after("slash", "q", "g", "x", "backspace") == State(typing=True, filter_text="qg")
    assert after("slash", "q", "enter") == State(filter_text="q")
    assert after("slash", "q", "escape") == State()
    assert after("slash", "q", "ctrl+u", "up") == State(typing=True)
    assert after("slash", "q", "enter", "escape") == State()


def test_enter_looks_into_the_marked_process_and_escape_leads_back_to_it() -> None:
    opened = after("down", "enter")

    assert opened.opened == FEW[1].id
    assert after("down", "escape", state=opened) == State(chosen=FEW[1].id)


def test_enter_on_an_empty_list_does_nothing() -> None:
    assert after("enter", "down", "end", rows=()) == State()


def test_lines_of_a_process_scroll_and_never_above_the_first() -> None:
    opened = after("enter")

    assert after("down", "down", "up", state=opened).first == 1
    assert after("pagedown", state=opened).first == 9
    assert after("up", "pageup", state=opened).first == 0


def test_q_ends_the_list_and_leads_back_from_elsewhere() -> None:
    assert after("q").ended
    assert not after("enter", "q").ended
    assert after("enter", "q").opened is None


def test_any_key_leads_back_from_the_keys() -> None:
    assert after("question_mark").helped
    assert after("question_mark", "x") == State()


def test_space_holds_still_and_goes_on() -> None:
    assert after("space").paused
    assert not after("space", "space").paused
