# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Memory is given back, but not to be asked for again under a group's memory.high."""

from __future__ import annotations

import time

import pytest

from vmad.sources import giving_back


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When it was given back, by ``clock``, of a process that has given nothing back yet."""
    times: list[float] = []
    monkeypatch.setattr(giving_back, "trim", lambda: times.append(time.monotonic()))
    monkeypatch.setattr(giving_back, "_giving", giving_back._Giving())
    return times


def at(monkeypatch: pytest.MonkeyPatch, now: float, *, held_up: bool) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(giving_back, "is_held_up", lambda proc: held_up)
    giving_back.give_back()


def test_it_is_given_back_each_time(monkeypatch: pytest.MonkeyPatch, given: list[float]) -> None:
    for now in (1.0, 2.0, 3.0):
        at(monkeypatch, now, held_up=False)
    assert given == [1.0, 2.0, 3.0]


def test_it_is_not_where_that_was_in_vain_a_moment_ago(
    monkeypatch: pytest.MonkeyPatch, given: list[float]
) -> None:
    at(monkeypatch, 1.0, held_up=True)
    at(monkeypatch, 2.0, held_up=True)
    at(monkeypatch, giving_back.IN_VAIN, held_up=True)
    at(monkeypatch, 1.0 + giving_back.IN_VAIN, held_up=False)
    at(monkeypatch, 2.0 + giving_back.IN_VAIN, held_up=False)
    assert given == [1.0, 1.0 + giving_back.IN_VAIN, 2.0 + giving_back.IN_VAIN]
