# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Lines of a terminal as parts that look alike; what a look is, the terminal decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from vmad.export.printable import text_width


class Look(Enum):
    """How a part stands out."""

    PLAIN = auto()
    DIM = auto()
    BOLD = auto()
    HEADING = auto()
    WARNING = auto()
    CRITICAL = auto()
    CHOSEN = auto()
    CHOSEN_WARNING = auto()
    CHOSEN_CRITICAL = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """Text of one look; ``ground`` is the colour (#rrggbb) that it stands on, if any."""

    text: str
    look: Look = Look.PLAIN
    ground: str | None = None


Line = tuple[Part, ...]

BLANK: Line = ()


def line(text: str, look: Look = Look.PLAIN) -> Line:
    """All of it alike."""
    return (Part(text, look),)


def plain(parts: Line) -> str:
    """Without looks."""
    return "".join(part.text for part in parts)


def fitted(parts: Line, width: int) -> Line:
    """Cut to ``width`` columns, its end marked."""
    if sum(text_width(part.text) for part in parts) <= width:
        return parts
    kept: list[Part] = []
    left = width
    for part in parts:
        text = cut(part.text, left)
        left -= text_width(text)
        kept.append(Part(text, part.look, part.ground))
        if text != part.text or left <= 0:
            break
    return tuple(kept)


def cut(text: str, width: int) -> str:
    """The beginning of a printable ``text``, with a mark where it was longer than ``width``."""
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


def padded(text: str, width: int, side: str = "l") -> str:
    """Cut or filled with blanks to ``width`` columns; ``side`` is "l" or "r"."""
    text = cut(text, width)
    blanks = " " * (width - text_width(text))
    return blanks + text if side == "r" else text + blanks


def screenful(lines: Iterable[Line], width: int, height: int) -> list[Line]:
    """Exactly ``height`` lines, none wider than ``width``."""
    shown = [fitted(line, width) for line in list(lines)[:height]]
    return shown + [BLANK] * (height - len(shown))
