# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""When the next scan is due, so that vmad keeps to its share of a core. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The configured rhythm. Seconds; ``budget`` is a share of one core."""

    interval: float
    full_every: int
    sample_interval: float
    budget: float


#: a quarter of the budget may go into sampling
SAMPLING_SHARE = 0.25
#: seconds that lie between two scans at least, whoever is in a hurry
BREATH = 1.0
#: from this share of the limit on a process is walked as soon as the budget allows
NEAR = 0.8
#: intervals that lie between two scans, or two samples, at most, whatever they cost: a watcher
#: that looks every hour has not seen the process that reached its limit within minutes
STRETCH = 10
#: intervals of debt with which a scan may still be brought forward
BORROWED = STRETCH / 2


class Ledger:
    """CPU time that was spent and not yet earned by waiting. Seconds.

    What a scan that was brought forward leaves unpaid lengthens the pauses after it, so that the
    average keeps to the budget whatever happens in between. Rest beyond what was owed is not
    saved up: a burst after a quiet night is not cheaper for those who share the core.
    """

    def __init__(self) -> None:
        self.owed = 0.0

    def spend(self, cpu_seconds: float, most: float = math.inf) -> None:
        """CPU time was spent. Debts beyond ``most`` are forgiven."""
        self.owed = min(self.owed + cpu_seconds, most)

    def wait(self, seconds: float, budget: float) -> None:
        """That long passed at a share of ``budget``."""
        self.owed = max(self.owed - seconds * budget, 0.0)


def next_scan_in(plan: Plan, owed: float) -> float:
    """Seconds from the start of a scan to the start of the next.

    ``owed`` is all that vmad spent from the end of the scan before to the end of this one, and
    what was unpaid then: spread over the time until the next, it is at most the budget, unless
    that takes more than :data:`STRETCH` intervals.
    """
    return min(max(plan.interval, owed / plan.budget), STRETCH * plan.interval)


def most_owed(plan: Plan) -> float:
    """CPU seconds that the longest pause pays for."""
    return STRETCH * plan.interval * plan.budget


def hurried_scan_in(plan: Plan, owed: float) -> float:
    """The same when events were lost and everything has to be looked at again: the interval may
    be cut short, the budget not.
    """
    return min(next_scan_in(plan, owed), max(BREATH, owed / plan.budget))


def next_scan_at(plan: Plan, owed: float, usual: float, began: float) -> float:
    """When everything that changed is due, where the last such scan began at ``usual`` and the last
    of any kind at ``began``. Seconds of one clock.
    """
    paid = began + min(owed / plan.budget, STRETCH * plan.interval)
    return max(usual + plan.interval, paid)


def near_scan_at(plan: Plan, owed: float, usual: float, began: float) -> float:
    """When those who are urgent may be walked alone, times as :func:`next_scan_at` has them.

    The interval does not hold them, the budget does; but once between two scans of everybody they
    are walked before the last scan is paid, which lengthens the pauses after it.
    """
    unpaid = owed / plan.budget
    if began == usual and unpaid <= BORROWED * plan.interval:
        return began + BREATH
    return began + min(max(BREATH, unpaid), STRETCH * plan.interval)


def next_sample_in(plan: Plan, cpu_seconds: float) -> float | None:
    """Seconds from one sample to the next, ``cpu_seconds`` being what one costs; None: never."""
    if plan.sample_interval <= 0:
        return None
    stretched = cpu_seconds / (plan.budget * SAMPLING_SHARE)
    return min(max(plan.sample_interval, stretched), STRETCH * plan.sample_interval)


def is_full(plan: Plan, scans_since_full: int | None) -> bool:
    """Whether everything is read this time; ``scans_since_full`` is None before the first."""
    return scans_since_full is None or scans_since_full + 1 >= plan.full_every
