# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which processes are shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from vmad.top.row import Row


class Order(Enum):
    """What rows are sorted by; the value is the key of the keyboard."""

    COUNT = "v"
    GROWTH = "g"
    TIME = "t"
    HIGH_WATER = "h"
    FAILURES = "f"
    PID = "p"
    NAME = "n"


TITLES = {
    Order.COUNT: "VMAs",
    Order.GROWTH: "growth",
    Order.TIME: "time to the limit",
    Order.HIGH_WATER: "high-water mark",
    Order.FAILURES: "failed calls",
    Order.PID: "PID",
    Order.NAME: "name",
}
_LAST = float("inf")


def shown(
    rows: Iterable[Row], order: Order, reverse: bool = False, filter_text: str = ""
) -> list[Row]:
    """Those that match, first what is worse; what is unknown comes last."""
    matching = [row for row in rows if matches(row, filter_text)]
    return sorted(matching, key=lambda row: _key(row, order), reverse=reverse)


def matches(row: Row, filter_text: str) -> bool:
    """Whether every word is part of its name, group or reason, or is its pid."""
    told = f"{row.comm}\n{row.group}\n{row.why}".lower()
    return all(word in told or word == str(row.id.pid) for word in filter_text.lower().split())


def _key(row: Row, order: Order) -> tuple[Any, ...]:
    count = -(row.map_count if row.map_count is not None else -1)
    first: Any = 0
    if order is Order.GROWTH:
        first = -row.rate if row.rate is not None else _LAST
    elif order is Order.TIME:
        first = row.seconds_to_limit if row.seconds_to_limit is not None else _LAST
    elif order is Order.HIGH_WATER:
        first = -(row.high_water if row.high_water is not None else -1)
    elif order is Order.FAILURES:
        first = -(row.failures or 0)
    elif order is Order.PID:
        first = row.id.pid
    elif order is Order.NAME:
        first = row.comm.lower()
    return first, count, row.id.pid
