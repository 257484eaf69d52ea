# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What each phase of a scan costs, and whether it succeeded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """In the order in which a scan goes through them; the value is a label of metrics."""

    CENSUS = "census"  #: who is there, with how many VMAs
    WALK = "walk"  #: reading the address spaces that are due, and counting their pairs
    JUDGE = "judge"  #: verdicts, and which group a process belongs to
    ADD_UP = "add_up"  #: processes to groups, groups to the host
    RENDER = "render"  #: making ready what is asked for


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """The last run of a phase. ``seconds`` of wall time, up to where it failed if it did."""

    seconds: float
    succeeded: bool


class PhaseCosts:
    """The last run of each phase by source ("kernel", "procfs"): one that fell back has two. Safe
    to be read from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._costs: dict[tuple[str, Phase], PhaseCost] = {}

    @contextmanager
    def timed(self, source: str, phase: Phase, *, more: bool = False) -> Iterator[None]:
        """The phase runs inside; an exception is its failure. ``more``: it goes on with what the
        last one began.
        """
        before = self._costs.get((source, phase)) if more else None
        began = self._clock()
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            seconds = self._clock() - began + (before.seconds if before is not None else 0.0)
            self._costs[source, phase] = PhaseCost(seconds, succeeded)

    def all(self) -> Mapping[tuple[str, Phase], PhaseCost]:
        """By source and phase."""
        return dict(self._costs)

    def seconds_of(self, source: str) -> Mapping[Phase, float]:
        """The phases that succeeded with one source, in their order."""
        return {
            phase: cost.seconds
            for phase in Phase
            if (cost := self._costs.get((source, phase))) is not None and cost.succeeded
        }
