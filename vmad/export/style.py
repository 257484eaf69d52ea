# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Emphasis in text for a person: escape sequences where colour is wanted, else the plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmad.export.printable import text_width

_ESCAPE = re.compile(r"\x1b\[[0-9;]+m")
_PLAIN = "\x1b[0m"
_HANGING = "    "
#: ratios to the limit from which a count is shown in yellow and in red: as the alerts have them
WARNING, CRITICAL = 0.8, 0.95


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks. ``columns`` is the width to wrap prose to.

    On a ``terminal`` no line is longer; in a pipe a line is one, for whoever looks for it there.
    """

    colour: bool = False
    columns: int = 100
    terminal: bool = False

    def _mark(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def bold(self, text: str) -> str:
        """Headings, and the one figure that matters."""
        return self._mark(text, "1")

    def dim(self, text: str) -> str:
        """Sources and asides."""
        return self._mark(text, "2")

    def alarm(self, text: str, ratio: float | None) -> str:
        """A count that is this near to its limit."""
        if ratio is None or ratio < WARNING:
            return self.bold(text)
        return self._mark(text, "1;31" if ratio >= CRITICAL else "1;33")

    def fitted(self, lines: Iterable[str]) -> list[str]:
        """Lines that are too long for the terminal go on below, indented, between two words."""
        if not self.terminal:
            return list(lines)
        return [part for line in lines for part in self._parts(line)]

    def _parts(self, line: str) -> Iterator[str]:
        left = line.lstrip()
        indent = " " * (len(line) - len(left))
        part, taken, mark = "", len(indent), ""
        for word in re.findall(r"\S+ *", left):
            width = text_width(_ESCAPE.sub("", word.rstrip()))
            if part and taken + width > self.columns:
                yield indent + part.rstrip() + (_PLAIN if mark else "")
                if not indent.endswith(_HANGING):
                    indent += _HANGING
                part, taken = mark, len(indent)
            part += word
            taken += text_width(_ESCAPE.sub("", word))
            for code in _ESCAPE.findall(word):
                mark = "" if code == _PLAIN else code
        yield indent + part.rstrip()

    def wrapped(self, text: str, indent: str, first: str | None = None) -> list[str]:
        """Prose in lines; ``first`` replaces the indent of the first line."""
        return textwrap.wrap(
            text,
            min(self.columns, 100),
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
