# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""When a process reaches the limit, and of whom that is not said. Pure.

Every program maps its libraries in its first seconds, and every compiler grows: a line through
that reaches any limit some day. So nothing is foretold of a process that has just started or is
far away, unless it goes on and is fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: from this share of the limit on every rate counts: there is no time to lose
CLOSE = 0.5
#: from this share on one that was measured over SOME seconds
NEAR, SOME = 0.05, 10.0
#: below it one that was measured over LONG seconds, if it goes on, and gets there within SOON
LONG, SOON = 30.0, 3600.0
#: who has been at the limit is at it until its count is below this share of it: a process that
#: fails frees a little and fails again
LEFT = 0.99


class Moves(NamedTuple):
    """How counts move; arrays have a number for each process."""

    rate: Floats  #: VMAs per second over the last minute, NaN unknown
    latest: Floats  #: of those who grow, the same over the last 20 seconds or less
    seconds: Floats  #: over which ``rate`` was measured


def seconds_to_limit(
    limit: int | None, counts: Integers, high_water: Integers, moves: Moves
) -> Floats:
    """Seconds until the limit, 0 at it; NaN where nothing can be said, or nothing is foretold.

    ``counts`` and ``high_water`` are -1 where unknown.
    """
    result = np.full(len(counts), np.nan)
    if not limit:
        return result
    # mostly few grow, and nobody is near: this runs at every scan
    rows = np.flatnonzero((moves.rate > 0) & (counts >= 0))
    if len(rows):
        result[rows] = _of_growing(limit, counts[rows], Moves(*(each[rows] for each in moves)))
    near = np.flatnonzero(counts / limit >= LEFT)
    if len(near):
        at = (counts[near] >= limit) | (high_water[near] >= limit)
        result[near[at]] = 0.0
    return result


def _of_growing(limit: int, counts: Integers, moves: Moves) -> Floats:
    """The same of processes whose rate is above 0."""
    ratio, left = counts / limit, limit - counts
    slower = np.fmin(moves.rate, moves.latest)
    lasting = slower > 0
    lasting[lasting] = left[lasting] / slower[lasting] <= SOON
    foretold = (
        (ratio >= CLOSE)
        | ((ratio >= NEAR) & (moves.seconds >= SOME))
        | ((moves.seconds >= LONG) & lasting)
    )
    seconds: Floats = np.where(foretold, left / moves.rate, np.nan)
    return seconds
