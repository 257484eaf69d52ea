# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which process has come nearer to its limit than it was told to be. Pure.

A threshold is told once, and again only after the count was well below it: a process that moves
about one is no news each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vmad.model.process import ProcessId

#: shares of the limit that are told of
THRESHOLDS: Final = (0.8, 0.9, 0.95, 1.0)
#: so much of the limit below a threshold it may be told again
REARMED_BELOW: Final = 0.05
#: whoever is below this share is of no interest
NEAR: Final = THRESHOLDS[0] - REARMED_BELOW


@dataclass(frozen=True, slots=True)
class Near:
    """A process near its limit, as it was counted now. ``rate`` (VMAs per second) and ``left``
    (seconds to the limit) are None where unknown.
    """

    process: ProcessId
    comm: str
    group: str
    map_count: int
    rate: float | None = None
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Crossing:
    """``near`` has reached ``threshold`` of ``limit``, and no higher one."""

    near: Near
    limit: int
    threshold: float


class Crossings:
    """What was told of whom. Not safe for concurrent use."""

    def __init__(self) -> None:
        self._told: dict[ProcessId, float] = {}

    def look(self, near: Iterable[Near], limit: int | None) -> list[Crossing]:
        """What is new, the nearest first. ``near``: all who have NEAR of the limit or more; who is
        not among them may be told of anew.
        """
        if not limit:
            return []
        now = {process_near.process: process_near for process_near in near}
        for process in [told for told in self._told if told not in now]:
            del self._told[process]
        crossings = []
        for process, process_near in now.items():
            ratio = process_near.map_count / limit
            before = self._told.get(process, 0.0)
            reached = _highest(ratio)
            # what it has fallen well below may come again
            kept = min(before, _highest(ratio + REARMED_BELOW))
            self._told[process] = max(reached, kept)
            if reached > before:
                crossings.append(Crossing(process_near, limit, reached))
        return sorted(crossings, key=lambda crossing: -crossing.near.map_count)

    def reached(self, process: ProcessId) -> float:
        """The threshold that it was told to have reached and has not left; 0 none."""
        return self._told.get(process, 0.0)


def _highest(ratio: float) -> float:
    return max((threshold for threshold in THRESHOLDS if ratio >= threshold), default=0.0)
