# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From repeated measurements to one number and its spread. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several values, and the quarters around it."""

    median: float
    low: float  #: a quarter of the values lies below
    high: float  #: a quarter of the values lies above

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles. Raises ValueError without a value."""
    if not values:
        raise ValueError("no value to take the median of")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The ratio of measurements made in turn: each round's own, then their spread.

    What slows the machine down for a while hits both sides of a round, and cancels. Raises
    ValueError when the lengths differ.
    """
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def worse(one: Spread, other: Spread) -> Spread:
    """The one with the higher median."""
    return one if one.median >= other.median else other
