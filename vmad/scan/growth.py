# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How fast a map_count moves: from two samples, or as a daemon has watched it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Growth:
    """Two samples of one process's map_count, ``seconds`` apart."""

    seconds: float
    before: int
    after: int

    @property
    def rate(self) -> float:
        """VMAs per second; negative when it shrinks."""
        return (self.after - self.before) / self.seconds

    def seconds_to(self, limit: int) -> float | None:
        """Seconds until ``limit`` is reached at this rate; None when it does not grow."""
        return max(limit - self.after, 0) / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a daemon says of one process; None where it does not know (yet).

    ``high_water`` is the highest map_count since it watches, ``rate`` VMAs per second over the
    last minutes, ``group`` what it counts the process under.
    """

    high_water: int | None
    rate: float | None
    group: str | None

    def seconds_to(self, limit: int, now: int) -> float | None:
        """Seconds until ``limit`` is reached at this rate; None when it does not grow."""
        return max(limit - now, 0) / self.rate if self.rate is not None and self.rate > 0 else None
