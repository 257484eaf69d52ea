# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a terminal of some width shows, as text: a frame, its rows, and below it what is emphasised.

A line that is longer than the terminal goes on in its next row, marked in the margin, as it does
on a real one; a reader of the picture sees at once what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from vmad.export.printable import text_width

_EMPHASIS = re.compile(r"\x1b\[([0-9;]+)m(.*?)\x1b\[0m")
_NAMES = {
    "1": "bold",
    "2": "dim",
    "7": "reversed",
    "1;4": "heading",
    "1;31": "bold red",
    "1;33": "bold yellow",
    "1;31;7": "bold red, reversed",
    "1;33;7": "bold yellow, reversed",
}


def picture(lines: Iterable[str], columns: int) -> str:
    """The frame, as wide as the terminal; every escape sequence of ours is taken for what it is."""
    lines = list(lines)
    edge = f" {columns} columns ".center(columns, "─")
    rows = [f"┌{edge}┐"]
    for line in lines:
        plain = _EMPHASIS.sub(r"\2", line)
        assert "\x1b" not in plain, f"an escape sequence that is not ours: {line!r}"
        first, *rest = _rows(plain, columns) or [""]
        rows.append(f"│{_filled(first, columns)}│")
        rows += [f"│{_filled(row, columns)}│ goes on" for row in rest]
    rows.append(f"└{'─' * columns}┘")
    return "\n".join([*rows, *_emphasis(lines)]) + "\n"


def _rows(line: str, columns: int) -> list[str]:
    rows = [""]
    for letter in line:
        if text_width(rows[-1] + letter) > columns:
            rows.append("")
        rows[-1] += letter
    return rows if line else []


def _filled(row: str, columns: int) -> str:
    return row + " " * (columns - text_width(row))


def _emphasis(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        for code, text in _EMPHASIS.findall(line):
            yield f"line {number}, {_NAMES[code]}: {text.strip()}"
