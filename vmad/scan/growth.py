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
        """Seconds until ``limit`` at this rate, 0 at it; None when it does not grow."""
        if self.after >= limit:
            return 0.0
        return (limit - self.after) / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a daemon says of one process; None where it does not know (yet).

    ``high_water`` is the highest map_count since it watches, ``rate`` VMAs per second over the
    last minutes, ``group`` what it counts the process under, ``seconds_to_limit`` as
    :mod:`vmad.scan.forecast` has it.
    """

    high_water: int | None
    rate: float | None
    group: str | None
    seconds_to_limit: float | None = None
