# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A series as a line of a few pixels: its shape, its gaps, and where the limit was hit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vmad.export.quantities import count, counted, duration
from vmad.timeline.rings import MISSING, Series
from vmad.web.pages.markup import Html, text
from vmad.web.pages.past import bridged

#: pixels; a point every STEP
WIDTH, HEIGHT, STEP = 120, 24, 2
#: a series that moves by less than this share is drawn flat
FLAT = 0.05
#: pixels above and below the line
_EDGE = 3

Points = list[tuple[float, float]]


def reduced(values: Sequence[int], slots: int) -> list[int]:
    """At most so many numbers, each the highest of those that it stands for; MISSING where there
    are none. The newest ones are whole.
    """
    per_slot = -(-len(values) // slots)
    padded = np.full(-(-len(values) // per_slot) * per_slot, MISSING, np.int64)
    padded[len(padded) - len(values) :] = values
    highest: list[int] = padded.reshape(-1, per_slot).max(axis=1).tolist()
    return highest


def sparkline(series: Series | None, failures: Series | None = None) -> Html:
    """An SVG, with what it shows in words; nothing where nothing is known."""
    if series is None or not len(series.known):
        return Html("")
    values = reduced(bridged(series).values.tolist(), WIDTH // STEP)
    known = [value for value in values if value != MISSING]
    low, high = min(known), max(known)
    low = min(low, int(high * (1 - FLAT)))
    scale = (HEIGHT - 2 * _EDGE) / max(high - low, 1)
    left = WIDTH - STEP * len(values)
    at = [
        (left + STEP * (number + 0.5), HEIGHT - _EDGE - (value - low) * scale, value)
        for number, value in enumerate(values)
    ]
    lines = "".join(
        f'<polyline points="{" ".join(f"{x:g},{y:.1f}" for x, y in run)}"/>' for run in _runs(at)
    )
    said = (
        f"{count(min(known))} to {count(high)} VMAs in {duration(len(series.values) * series.step)}"
    )
    failed = 0 if failures is None else int(failures.known.sum())
    if failures is not None and failed:
        said += f", {counted(failed, 'failure')} at the limit"
        marks = reduced(failures.values.tolist(), WIDTH // STEP)
        lines += "".join(
            f'<circle cx="{left + STEP * (number + 0.5):g}" cy="{_EDGE}" r="2.2"/>'
            for number, value in enumerate(marks)
            if value > 0
        )
    return Html(
        f'<svg class="sparkline" role="img" aria-label="{text(said)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f"<title>{text(said)}</title>{lines}</svg>"
    )


def _runs(points: Sequence[tuple[float, float, int]]) -> Iterator[Points]:
    """Points side by side; one alone becomes a dash."""
    run: Points = []
    for x, y, value in (*points, (0.0, 0.0, MISSING)):
        if value != MISSING:
            run.append((x, y))
        elif run:
            yield (
                run
                if len(run) > 1
                else [(run[0][0] - 0.5, run[0][1]), (run[0][0] + 0.5, run[0][1])]
            )
            run = []
