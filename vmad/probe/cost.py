# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How long a process stands still while its runs are rebuilt, as it was measured."""

from __future__ import annotations

import math
import mmap

#: seconds that moving takes: per page that may be there, and per VMA (docs/rebuild.md)
PER_PAGE, PER_VMA = 0.2e-6, 4e-6
#: seconds of a stop besides
PER_STOP = 1e-3
#: share of the allowed stop that is planned for
PLANNED = 0.5


def move_seconds(vmas: int, size: int) -> float:
    """How long moving takes, seconds; ``size`` is address space in bytes, taken as written."""
    return vmas * PER_VMA + size / mmap.PAGESIZE * PER_PAGE


def stops_of(seconds: float, max_stop: float) -> int:
    """Over how many stops of at most ``max_stop`` seconds so much moving is spread."""
    return max(1, math.ceil(seconds / max(max_stop * PLANNED - PER_STOP, PER_STOP / 2)))
