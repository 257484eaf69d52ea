# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The columns of the list: which ones a terminal of some width has room for, and their cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmad.export.quantities import UNKNOWN, count, percent
from vmad.export.style import CRITICAL, WARNING
from vmad.top.order import Order
from vmad.top.row import Row
from vmad.top.sparkline import sparkline
from vmad.top.text import Line, Look, Part, padded

#: columns of the terminal between two columns
BETWEEN = 1
#: at the left, for the mark of the chosen row
MARGIN = 2
#: widths of the sparkline at least and at most
SPARK, WIDEST_SPARK = 7, 60


@dataclass(frozen=True, slots=True)
class Column:
    """``needed``: of the columns that find no room the highest go first; ``grows``: up to there."""

    title: str
    width: int
    side: str
    needed: int
    cell: Callable[[Row], str]
    order: Order | None = None
    grows: int = 0


def _growth(row: Row) -> str:
    if row.rate is None:
        return UNKNOWN
    if abs(row.rate) < 0.05:
        return "0"
    return f"{row.rate:+,.1f}" if abs(row.rate) < 10 else f"{row.rate:+,.0f}"


def short_count(number: int | None) -> str:
    """(65530) -> "65,530"; (1048576) -> "1.05 M"."""
    return count(number) if number is None or number < 1_000_000 else f"{number / 1e6:.3g} M"


def time_text(seconds: float | None) -> str:
    """(130.0) -> "2 min"; 0 is "now"."""
    if seconds is None:
        return UNKNOWN
    if seconds <= 0:
        return "now"
    if seconds < 120:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


#: as they stand, left to right
COLUMNS = (
    Column("PID", 7, "r", 0, lambda row: str(row.id.pid), Order.PID),
    Column("NAME", 15, "l", 0, lambda row: row.comm, Order.NAME),
    Column("VMAS", 7, "r", 0, lambda row: short_count(row.map_count), Order.COUNT),
    Column("% LIMIT", 7, "r", 1, lambda row: percent(row.ratio)),
    Column("GROWTH/S", 8, "r", 2, _growth, Order.GROWTH),
    Column("HIGHEST", 7, "r", 4, lambda row: short_count(row.high_water), Order.HIGH_WATER),
    Column("LEFT", 6, "r", 3, lambda row: time_text(row.seconds_to_limit), Order.TIME),
    Column("FAILED", 6, "r", 6, lambda row: short_count(row.failures), Order.FAILURES),
    Column("MOSTLY", 22, "l", 7, lambda row: row.why or UNKNOWN, None, 30),
    Column("GROUP", 18, "l", 8, lambda row: row.group or UNKNOWN, None, 44),
)
_PAST = Column("", SPARK, "l", 5, lambda row: "", None, WIDEST_SPARK)


def layout(width: int) -> list[tuple[Column, int]]:
    """The columns that are shown and how wide each is; the last one is the sparkline, or 0."""
    kept = [*COLUMNS, _PAST]
    while _taken(kept) > width and len(kept) > 1:
        kept.remove(max(kept, key=lambda column: column.needed))
    spare = width - _taken(kept)
    widths = {}
    # names of groups first, then reasons, then the past
    for column in sorted(kept, key=lambda column: -column.needed):
        more = min(max(column.grows - column.width, 0), spare)
        widths[column.title] = column.width + more
        spare -= more
    return [(column, widths[column.title]) for column in kept]


def _taken(columns: list[Column]) -> int:
    return MARGIN + sum(column.width + BETWEEN for column in columns) - BETWEEN


def head(columns: list[tuple[Column, int]], order: Order, reverse: bool) -> Line:
    """The titles; that by which rows are sorted is marked."""
    mark = "▴" if reverse else "▾"
    cells = []
    for column, width in columns:
        title = column.title
        if column.order is order:
            title = f"{title}{mark}" if len(title) < width else f"{title[: width - 1]}{mark}"
        cells.append(padded(title, width, column.side))
    return (Part(" " * MARGIN + " ".join(cells), Look.HEADING),)


def row_line(row: Row, columns: list[tuple[Column, int]], chosen: bool) -> Line:
    """One process; what is near its limit stands out."""
    cells = [
        sparkline(row.past, width)
        if column is _PAST
        else padded(column.cell(row), width, column.side)
        for column, width in columns
    ]
    text = " ".join(cells)
    if chosen:
        return (Part("▸ " + text, _CHOSEN[look_of(row)]),)
    return (Part(" " * MARGIN + text, look_of(row)),)


_CHOSEN = {
    Look.PLAIN: Look.CHOSEN,
    Look.WARNING: Look.CHOSEN_WARNING,
    Look.CRITICAL: Look.CHOSEN_CRITICAL,
}


def look_of(row: Row) -> Look:
    """By how near it is."""
    if row.ratio is None or row.ratio < WARNING:
        return Look.PLAIN
    return Look.CRITICAL if row.ratio >= CRITICAL else Look.WARNING
