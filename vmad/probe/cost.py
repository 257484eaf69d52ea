# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How long a process stands still while its runs are rebuilt: as estimated, and as it turns out."""

from __future__ import annotations

import math
import mmap

#: seconds that moving takes: per page that may be there, and per VMA (docs/rebuild.md)
PER_PAGE, PER_VMA = 0.3e-6, 5e-6
#: seconds besides: of a stop, and of every run in it
PER_STOP, PER_PIECE = 1e-3, 0.3e-3
#: share of the allowed stop that is planned for, and after which the code in the target, which
#: looks at the clock after every VMA, moves no further one
PLANNED, ENDS = 0.4, 0.5
_AT_LEAST = 0.2


def move_seconds(vmas: int, size: int) -> float:
    """How long moving takes, seconds; ``size`` is address space in bytes, taken as written."""
    return vmas * PER_VMA + size / mmap.PAGESIZE * PER_PAGE


def stops_of(seconds: float, max_stop: float) -> int:
    """Over how many stops of at most ``max_stop`` seconds so much moving is spread."""
    return max(1, math.ceil(seconds / moving_time(max_stop)))


def moving_time(max_stop: float) -> float:
    """Seconds of moving that are planned for one stop."""
    return max(max_stop * PLANNED - PER_STOP, max_stop * _AT_LEAST)


class Pace:
    """How many times as long as estimated moving takes in this process, on this machine."""

    def __init__(self) -> None:
        self._factor = 1.5  #: the first time, caches are cold

    def seconds(self, vmas: int, size: int) -> float:
        """The estimate, corrected."""
        return move_seconds(vmas, size) * self._factor

    def note(self, vmas: int, size: int, took: float) -> None:
        """So long it took. A slow one counts at once, though only so far, a fast one by and by."""
        estimate = move_seconds(vmas, size)
        now = min(max(took - PER_PIECE, 0.0) / estimate, 2 * self._factor)
        if estimate < PER_PIECE:  # so small that its time says little: the next may be larger
            now = min(now, self._factor / 2)
        self._factor = min(max(now, (self._factor + now) / 2, 0.3), 20.0)
