# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a terminal of some width shows, as text: a frame, its rows, and below it what is emphasised.

A line that is longer than the terminal goes on in its next row, marked in the margin, as it does
on a real one; a reader of the picture sees at once what does not fit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_EMPHASIS = re.compile(r"\x1b\[([0-9;]+)m(.*?)\x1b\[0m")
_NAMES = {"1": "bold", "2": "dim", "1;31": "bold red", "1;33": "bold yellow"}


def picture(lines: Iterable[str], columns: int) -> str:
    """The frame, as wide as the terminal; every escape sequence of ours is taken for what it is."""
    lines = list(lines)
    edge = f" {columns} columns ".center(columns, "─")
    rows = [f"┌{edge}┐"]
    for line in lines:
        plain = _EMPHASIS.sub(r"\2", line)
        assert "\x1b" not in plain, f"an escape sequence that is not ours: {line!r}"
        first, *rest = _rows(plain, columns) or [""]
        rows.append(f"│{first.ljust(columns)}│")
        rows += [f"│{row.ljust(columns)}│ goes on" for row in rest]
    rows.append(f"└{'─' * columns}┘")
    return "\n".join([*rows, *_emphasis(lines)]) + "\n"


def _rows(line: str, columns: int) -> list[str]:
    assert all(unicodedata.east_asian_width(letter) not in "WF" for letter in line)
    return [line[start : start + columns] for start in range(0, len(line), columns)]


def _emphasis(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        for code, text in _EMPHASIS.findall(line):
            yield f"line {number}, {_NAMES[code]}: {text.strip()}"
