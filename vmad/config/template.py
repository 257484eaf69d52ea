# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The template that a grouping rule makes a group's name with: text and {placeholders}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

#: what every rule may name, whatever it matches on
FIELDS = ("unit", "cgroup", "container", "pod", "comm", "exe")


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """``pieces`` are pairs (literal text, placeholder behind it or None)."""

    text: str
    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> NameTemplate:
        """Raises ValueError, with one line of cause, for what is not a template.

        Braces are written twice to stand for themselves. Formats, conversions, attributes and
        indices (``{x!r}``, ``{x.y}``) are refused.
        """
        pieces: list[tuple[str, str | None]] = []
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{error}; write {{{{ or }}}} for a brace") from error
        for literal, name, form, conversion in parsed:
            if name is not None and (form or conversion or not name.isidentifier()):
                raise ValueError("a placeholder is a bare name such as {unit}")
            pieces.append((literal, name))
        if not any(literal or name for literal, name in pieces):
            raise ValueError("it is empty")
        return cls(text, tuple(pieces))

    @property
    def placeholders(self) -> frozenset[str]:
        """Every name between braces."""
        return frozenset(name for _, name in self.pieces if name is not None)

    def render(self, values: Mapping[str, str | None]) -> str | None:
        """The name; None when ``values`` lacks one of the placeholders."""
        parts: list[str] = []
        for literal, name in self.pieces:
            parts.append(literal)
            if name is not None:
                value = values.get(name)
                if value is None:
                    return None
                parts.append(value)
        return "".join(parts)
