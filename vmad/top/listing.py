# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The list of processes as a screenful: headline, rows, keys."""

from __future__ import annotations

import time
from collections.abc import Sequence

from vmad.export.printable import text_width
from vmad.export.quantities import count, counted, percent
from vmad.top.columns import head, layout, look_of, row_line, time_text
from vmad.top.order import TITLES, shown
from vmad.top.row import Frame, Row
from vmad.top.state import State, place_of
from vmad.top.text import BLANK, Line, Look, Part, line, padded, screenful

#: lines above and below the rows
ABOVE, BELOW = 4, 1
KEYS = "Enter causes   / filter   s sort   r reverse   Space pause   ? help   q quit"

_MEANINGS = (
    "GROWTH/S is over the last minute, HIGHEST since this view began. LEFT is the",
    "time to the limit at that growth; none is told of who has just begun or is far",
    "away. FAILED are calls that failed at the limit.",
)


def rows_of(frame: Frame, state: State) -> list[Row]:
    """Those that are listed, in their order."""
    return shown(frame.rows, state.order, state.reverse, state.filter_text)


def page_of(height: int) -> int:
    """Rows that a screen of this height has room for."""
    return max(height - ABOVE - BELOW, 1)


def first_shown(at: int, rows: int, page: int) -> int:
    """The first row that is shown so that row ``at`` is: pages are turned, rows do not creep."""
    return min(at // page * page, max(rows - page, 0)) if rows > page else 0


def listing(frame: Frame, state: State, width: int, height: int) -> list[Line]:
    """The whole screen."""
    rows = rows_of(frame, state)
    page, at = page_of(height), place_of(state, rows)
    columns = layout(width)
    lines = [
        _title(frame, state, width),
        _headline(frame),
        _second(frame, state, len(rows)),
        head(columns, state.order, state.reverse),
    ]
    first = first_shown(at, len(rows), page)
    for number, row in enumerate(rows[first : first + page], first):
        lines.append(row_line(row, columns, number == at))
    if not rows:
        lines.append(
            line("  no process matches" if state.filter_text else "  no process", Look.DIM)
        )
    lines = screenful(lines, width, height - BELOW)
    return [*lines, *screenful([_foot(state)], width, BELOW)]


def _title(frame: Frame, state: State, width: int) -> Line:
    vmas = sum(row.map_count or 0 for row in frame.rows)
    many = f"{counted(len(frame.rows), 'process', 'processes')}, {counted(vmas, 'VMA')}"
    left = f"vmad top   {frame.machine}   Linux {frame.kernel}   {many}"
    right = "a capture" if frame.at is None else time.strftime("%H:%M:%S", time.localtime(frame.at))
    if state.paused:
        right = f"paused {right}"
    room = width - text_width(right) - 1
    return Part(padded(left, room) + " ", Look.BOLD), Part(right, Look.BOLD)


def _headline(frame: Frame) -> Line:
    full = [row for row in frame.rows if row.at_limit]
    if full:
        names = ", ".join(f"{row.comm} ({row.id.pid}){_failing(row)}" for row in full[:4])
        more = f" and {len(full) - 4} more" if len(full) > 4 else ""
        return line(f"at the limit now: {names}{more}", Look.CRITICAL)
    row = frame.nearest
    if row is None or row.map_count is None:
        return BLANK
    of = "" if frame.limit is None else f" of {count(frame.limit)}"
    text = f"nearest: {row.comm} ({row.id.pid}) {count(row.map_count)}{of} ({percent(row.ratio)})"
    if row.rate is not None and row.rate >= 0.05:
        text += f", {row.rate:+,.3g}/s"
    if row.seconds_to_limit is not None:
        text += f", at the limit in {time_text(row.seconds_to_limit)}"
    return line(text, look_of(row))


def _failing(row: Row) -> str:
    return f", {counted(row.failures, 'failed call')}" if row.failures else ""


def _second(frame: Frame, state: State, number: int) -> Line:
    if state.typing or state.filter_text:
        cursor = "▏" if state.typing else ""
        text = f"filter: {state.filter_text}{cursor}   {counted(number, 'process', 'processes')}"
        return line(text, Look.BOLD)
    notes = [*frame.notes, f"evidence {frame.evidence}"]
    if frame.unreadable:
        notes.append(f"{counted(frame.unreadable, 'process', 'processes')} could not be read")
    return line("; ".join(notes), Look.DIM)


def _foot(state: State) -> Line:
    if state.typing:
        return line("Enter done   Esc no filter   Ctrl-U empty", Look.DIM)
    return line(KEYS, Look.DIM)


def help_lines(width: int, height: int) -> list[Line]:
    """What keys do."""
    sorts = [(order.value, f"sort by {title}") for order, title in TITLES.items()]
    keys: Sequence[tuple[str, str]] = (
        ("up down, j k", "one row"),
        ("PgUp PgDn", "one page"),
        ("Home End", "first and last"),
        ("Enter", "the causes of a process and its address space; Esc leads back"),
        ("/", "filter: words that name, group or reason have, or a PID"),
        *sorts,
        ("s", "sort by the next of these"),
        ("r", "the other way round"),
        ("Space", "hold still, and go on"),
        ("q", "quit"),
    )
    lines = [line("vmad top: keys", Look.BOLD), BLANK]
    lines += [(Part(f"  {padded(key, 14)}", Look.BOLD), Part(text)) for key, text in keys]
    lines += [BLANK, *map(line, _MEANINGS), BLANK, line("any key leads back", Look.DIM)]
    return screenful(lines, width, height)
