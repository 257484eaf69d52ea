# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""When the next scan is due, so that vmad keeps to its share of a core. Pure."""

from __future__ import annotations

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


def next_scan_in(plan: Plan, cpu_seconds: float) -> float:
    """Seconds from the start of a scan to the start of the next.

    ``cpu_seconds`` is all that vmad spent from the start of the scan before to the start of this
    one and on this one: spread over the time until the next, it is at most the budget.
    """
    return max(plan.interval, cpu_seconds / plan.budget)


def next_sample_in(plan: Plan, cpu_seconds: float) -> float | None:
    """Seconds from one sample to the next, ``cpu_seconds`` being what one costs; None: never."""
    if plan.sample_interval <= 0:
        return None
    return max(plan.sample_interval, cpu_seconds / (plan.budget * SAMPLING_SHARE))


def is_full(plan: Plan, scans_since_full: int | None) -> bool:
    """Whether everything is read this time; ``scans_since_full`` is None before the first."""
    return scans_since_full is None or scans_since_full + 1 >= plan.full_every
