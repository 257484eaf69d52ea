# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How often a machine was stopped to be read, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stops:
    """Totals. A machine that stood still already was not stopped."""

    count: int = 0
    longest: float = 0.0  #: seconds
    seconds: float = 0.0  #: all together

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.longest = max(self.longest, seconds)
        self.seconds += seconds
