# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Numbers over time as one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence

from vmad.top.past import Counts

BLOCKS = "▁▂▃▄▅▆▇█"
#: a rise of fewer than this many VMAs is no mountain
LEAST_SPAN = 16


def known_part(past: Sequence[int] | Counts) -> list[int]:
    """From the first known count on."""
    counts = list(map(int, past))
    return next((counts[at:] for at, number in enumerate(counts) if number >= 0), [])


def sparkline(past: Sequence[int] | Counts, width: int) -> str:
    """The last of ``past`` at the right, each column the highest of its share; -1 is unknown.

    From the least to the most of those that are shown, so that growth is seen however high the
    count is; what does not move lies at the bottom.
    """
    if width <= 0:
        return ""
    columns = _columns(known_part(past), width)
    known = [value for value in columns if value >= 0]
    if not known:
        return " " * width
    low = min(known)
    span = max(max(known) - low, LEAST_SPAN)
    top = len(BLOCKS) - 1
    text = "".join(
        " " if value < 0 else BLOCKS[min((value - low) * len(BLOCKS) // (span + 1), top)]
        for value in columns
    )
    return text.rjust(width)


def _columns(values: Sequence[int], width: int) -> list[int]:
    """At most ``width`` numbers; the steps from one to the next are alike but for the first."""
    if len(values) <= width:
        return list(values)
    share = -(-len(values) // width)
    return [
        max(values[max(end - share, 0) : end]) for end in range(len(values), 0, -share)
    ][::-1]  # fmt: skip
