# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is at the limit now, which is told before anything that may come. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vmad.model.failures import FailureTally
from vmad.scan.forecast import LEFT
from vmad.scan.snapshot import HostSnapshot, JudgedProcess

#: seconds for which a call that failed says that its process fails now
FAILING = 60.0


@dataclass(frozen=True, slots=True)
class AtLimit:
    """A process that is at the limit; ``failures`` are those of the last FAILING seconds or since
    its first one then, 0 where none failed or nobody counts.
    """

    process: JudgedProcess
    failures: int

    @property
    def failing(self) -> bool:
        """Whether calls of it fail now."""
        return self.failures > 0


def at_limit(host: HostSnapshot, tally: FailureTally | None, now: float) -> tuple[AtLimit, ...]:
    """Those at the limit or failing near it at ``now`` (Unix seconds), those that fail first."""
    failures: Counter[tuple[int, int]] = Counter()
    for failure in () if tally is None else tally.last:
        if now - failure.last < FAILING:
            failures[failure.process] += failure.count
    at_it = [
        AtLimit(process, failures[process.id])
        for process in host.processes
        if process.seconds_to_limit == 0
        or (failures[process.id] and (process.ratio or 0.0) >= LEFT)
    ]
    return tuple(sorted(at_it, key=lambda entry: -entry.failures))


def soonest(host: HostSnapshot) -> JudgedProcess | None:
    """Who reaches the limit first of those that are not there yet; None where none is foretold."""
    foretold = [process for process in host.processes if process.seconds_to_limit]
    return min(foretold, key=lambda process: process.seconds_to_limit or 0.0, default=None)
