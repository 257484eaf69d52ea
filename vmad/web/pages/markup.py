# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pieces of HTML: everything that comes from outside is made printable and escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import NewType

from vmad.export.printable import printable
from vmad.export.quantities import UNKNOWN, count, duration, percent

_BREAKS = re.compile(r"([./@:_-])(?=[^\s./@:_-])")

#: text that is HTML already
Html = NewType("Html", str)


def text(outside: str) -> Html:
    """A name or sentence from outside as HTML: no markup, no control or format characters."""
    return Html(escape(printable(outside)))


def name(outside: str) -> Html:
    """The name of a unit, a path or a command: it may break after its dots and slashes."""
    return Html(_BREAKS.sub(r"\1<wbr>", text(outside)))


def join(parts: Iterable[Html], between: str = "") -> Html:
    """Pieces side by side."""
    return Html(between.join(parts))


def number(value: int | None) -> Html:
    """(61204) -> "61,204"; what is not known is said for screen readers too."""
    return not_known() if value is None else of_value(value, count(value))


def of_value(value: float, shown: str) -> Html:
    """What is shown of a number, with the number itself for those who sort by it."""
    return Html(f'<data value="{value:.12g}">{shown}</data>')


def process_link(comm: str, pid: int, query: str = "") -> Html:
    """A process by its name and pid, leading to its page."""
    return Html(f'<a href="/explain/{pid}{query}">{name(comm)}</a> <span class="pid">{pid}</span>')


def not_known(why: str = "not known") -> Html:
    """A dash that says why there is no number."""
    return Html(f'<span class="none" title="{escape(why)}" aria-label="{escape(why)}">–</span>')


def share(ratio: float | None) -> Html:
    """(0.916) -> "91.6 %", not breaking."""
    shown = percent(ratio)
    return not_known() if shown == UNKNOWN else Html(escape(shown).replace(" ", "&#8239;"))


def growth(per_second: float | None) -> Html:
    """VMAs per second in the unit that makes them whole: (0.42) -> "+25.2 / min"."""
    if per_second is None:
        return not_known("not watched for long enough")
    size = abs(per_second)
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600), ("day", 86400)):
        if size * seconds >= 1 or unit == "day":
            break
    if size * seconds < 0.05:
        return of_value(0, '<span class="none">steady</span>')
    sign = "+" if per_second > 0 else "−"
    amount = f"{size * seconds:,.1f}".removesuffix(".0")
    return of_value(per_second, f"{sign}{amount}&#8239;/&#8239;{unit}")


def time_left(seconds: float | None, otherwise: str = "does not grow") -> Html:
    """Until the limit is reached at the present growth."""
    if seconds is None:
        return not_known(otherwise)
    if seconds == 0:
        return of_value(0, '<strong class="alarm">at the limit</strong>')
    shown = "more than a year" if seconds > 365 * 86400 else duration(seconds)
    return of_value(seconds, text(shown))


def moment(unix: float) -> Html:
    """Unix seconds as UTC, for people and for machines."""
    when = datetime.fromtimestamp(unix, UTC)
    return Html(f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%Y-%m-%d %H:%M:%S} UTC</time>')


def level(ratio: float | None) -> str:
    """CSS class of a ratio to the limit: "high" from 80 %, "middle" from 50 %."""
    if ratio is None:
        return "unknown"
    return "high" if ratio >= 0.8 else "middle" if ratio >= 0.5 else "low"


def bar(ratio: float | None, mark: float | None = None) -> Html:
    """A bar for a ratio, with a mark (the high-water) where given; the number is beside it."""
    if ratio is None:
        return Html("")
    pieces = f'<i style="width:{_width(ratio)}%"></i>'
    if mark is not None:
        pieces += f'<b style="left:{_width(mark)}%"></b>'
    return Html(f'<span class="bar {level(ratio)}" aria-hidden="true">{pieces}</span>')


def plain_bar(ratio: float) -> Html:
    """A bar that says nothing of danger; an empty one for 0."""
    piece = f'<i style="width:{_width(ratio)}%"></i>' if ratio > 0 else ""
    return Html(f'<span class="bar" aria-hidden="true">{piece}</span>')


def _width(ratio: float) -> str:
    return f"{100 * min(max(ratio, 0.0), 1.0):.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; ``kind`` is its CSS class: "number", "wide" (only on wide screens)."""

    heading: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption for screen readers; the first cell of each row is its heading.

    ``sortable``: by its columns, and filtered by name, where scripts run.
    """

    caption: str
    columns: Sequence[Column]
    sortable: bool = False

    def html(self, rows: Iterable[Sequence[Html]]) -> Html:
        """The whole table."""
        return self.around(Html(f"<tbody>{join(map(self.row, rows))}</tbody>"))

    def around(self, bodies: Html) -> Html:
        """The whole table, of bodies of rows, and a foot, that are made already."""
        headings = "".join(
            f'<th scope="col" class="{column.kind}">{escape(column.heading)}</th>'
            for column in self.columns
        )
        kind = ' class="sortable"' if self.sortable else ""
        return Html(
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.caption)}">'
            f"<table{kind}><caption>{escape(self.caption)}</caption>"
            f"<thead><tr>{headings}</tr></thead>{bodies}</table></div>"
        )

    def row(self, cells: Sequence[Html]) -> Html:
        """One row."""
        first, *rest = cells
        parts = [f'<th scope="row" class="{self.columns[0].kind}">{first}</th>']
        parts += (
            f'<td class="{column.kind}" data-label="{escape(column.heading)}">{cell}</td>'
            for column, cell in zip(self.columns[1:], rest, strict=True)
        )
        return Html(f"<tr>{''.join(parts)}</tr>")


def section(title: str, note: str, *parts: Html) -> Html:
    """A section with a heading and a sentence on how to read it."""
    anchor = title.lower().replace(" ", "-")
    return Html(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(title)}</h2>'
        f'<p class="note">{escape(note)}</p>{join(parts)}</section>'
    )


def facts(pairs: Iterable[tuple[str, Html]]) -> Html:
    """A list of names and values."""
    rows = (f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return Html(f"<dl>{''.join(rows)}</dl>")
