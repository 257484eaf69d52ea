# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Two kinds of plots as SVG text: lines over time, and bars side by side. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: told apart by the colour-blind too (Okabe and Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_WIDTH = 860
_THICK = 14  # of a bar
_CHARACTER = 6.6  # width of a digit or letter in the 12 px font, about


@dataclass(frozen=True)
class Line:
    """One run: (seconds, value) in order, drawn in the colour of its series."""

    series: int
    points: Sequence[tuple[float, float]]


def ticks(highest: float, about: int = 5) -> list[float]:
    """Round numbers from 0 to the first at or above ``highest``, some ``about`` of them."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def number(value: float) -> str:
    """1234.5 -> "1,234"; small ones keep what tells them apart."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def line_plot(series: Sequence[str], lines: Sequence[Line], *, label: str) -> str:
    """Values over seconds, several runs per series in its colour."""
    height, left, right, top, bottom = 320, 64, 12, 34, 40
    points = [point for line in lines for point in line.points]
    across = ticks(max((x for x, _ in points), default=1.0), 8)
    up = ticks(max((y for _, y in points), default=1.0))
    wide, high = _WIDTH - left - right, height - top - bottom

    def at(x: float, y: float) -> tuple[float, float]:
        return left + wide * x / across[-1], top + high * (1 - y / up[-1])

    parts = [_begin(height, label)]
    for value in up:
        _, y = at(0, value)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(_text(left - 8, y + 4, number(value), "end"))
    for value in across:
        x, _ = at(value, 0)
        parts.append(_text(x, height - bottom + 18, number(value), "middle"))
    parts.append(_text(left + wide / 2, height - 4, "seconds", "middle"))
    for line in lines:
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in line.points)
        colour = COLOURS[line.series % len(COLOURS)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>'
        )
    parts.append(_legend(series, left))
    parts.append("</svg>")
    return "\n".join(parts)


@dataclass(frozen=True)
class Bar:
    """A median with the lowest and highest of its runs."""

    median: float
    lowest: float
    highest: float


def bar_plot(series: Sequence[str], bars: Mapping[str, Sequence[Bar | None]], *, label: str) -> str:
    """For each name one bar per series, lying; a thin line shows the spread of several runs."""
    gap, top, bottom = 12, 34, 26
    left = 24 + _CHARACTER * max((len(name) for name in bars), default=0)
    right = 90
    wide = _WIDTH - left - right
    group = _THICK * len(series) + gap
    height = top + group * len(bars) + bottom
    shown = [bar for row in bars.values() for bar in row if bar is not None]
    across = ticks(max((bar.highest for bar in shown), default=1.0))
    parts = [_begin(height, label)]
    for value in across:
        x = left + wide * value / across[-1]
        ends = height - bottom
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{ends}"/>')
        parts.append(_text(x, height - bottom + 18, number(value), "middle"))
    for row, (name, members) in enumerate(bars.items()):
        y = top + row * group
        parts.append(_text(left - 10, y + (group - gap) / 2 + 4, name, "end"))
        for index, bar in enumerate(members):
            if bar is None:
                parts.append(_text(left + 6, y + index * _THICK + 11, "not known", "start"))
                continue
            parts.append(_bar(bar, left, wide / across[-1], y + index * _THICK, index))
    parts.append(_legend(series, left))
    parts.append("</svg>")
    return "\n".join(parts)


def _bar(bar: Bar, left: float, scale: float, y: float, index: int) -> str:
    colour = COLOURS[index % len(COLOURS)]
    ends = left + bar.median * scale
    text = f'<rect x="{left:.1f}" y="{y + 1:.1f}" width="{ends - left:.1f}" '
    text += f'height="{_THICK - 2}" fill="{colour}"/>'
    low, high = left + bar.lowest * scale, left + bar.highest * scale
    if high - low >= 1:
        middle = y + _THICK / 2
        text += f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" '
        text += f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
    return text + _text(max(ends, high) + 6, y + _THICK - 3, number(bar.median), "start")


def _begin(height: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'role="img" aria-label="{escape(label, quote=True)}">'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(series: Sequence[str], left: float) -> str:
    parts = []
    x = left
    for index, name in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{x:.1f}" y="8" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 18, 18, name, "start"))
        x += 40 + _CHARACTER * len(name)
    return "".join(parts)
