# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How fast a map_count moves, from two samples."""

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
