# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether a number stays level: its growth in an hour, against the noise that it has anyway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

#: part of a run that is warming up and not judged: caches fill, the allocator finds its size
WARM = 0.25
#: what is left is cut into so many blocks of equal length
BLOCKS = 12
#: Student's t of BLOCKS - 2 = 10 degrees of freedom, beyond which chance alone goes once in a
#: hundred (one-sided)
CERTAIN = 2.764
#: noise in which a growth of this part of the mean in an hour could hide is too much to judge by
HIDDEN = 0.05


class Verdict(StrEnum):
    """What is said of it."""

    LEVEL = "level"
    GROWS = "grows"
    UNDECIDED = "undecided: too much noise"


@dataclass(frozen=True, slots=True)
class Trend:
    """``growth`` in an hour, and how much of it chance may be (``error``: one standard error)."""

    mean: float
    growth: float
    error: float

    @property
    def verdict(self) -> Verdict:
        """One of the three; what shrinks is level, too: nothing runs out by it."""
        if self.growth > CERTAIN * self.error:
            return Verdict.GROWS
        if CERTAIN * self.error > HIDDEN * self.mean:
            return Verdict.UNDECIDED
        return Verdict.LEVEL


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """Of a number that was looked at so often, once warm; of too few looks nothing can be said.

    What a process holds moves in steps that stay, so that neighbouring looks are no two witnesses
    and a straight line through all of them claims to know far too well (Granger and Newbold 1974,
    "Spurious regressions in econometrics"). Taken for independent are the differences of the
    blocks' means: their mean is the growth, their scatter its error.
    """
    first = int(len(values) * WARM)
    at, warm = np.asarray(seconds[first:]), np.asarray(values[first:], dtype=float)
    if len(warm) < 2 * BLOCKS:
        return Trend(float(np.mean(values)), math.nan, math.inf)
    blocks = [float(block.mean()) for block in np.array_split(warm, BLOCKS)]
    hours = [float(block.mean()) / 3600 for block in np.array_split(at, BLOCKS)]
    steps = np.diff(blocks) / np.diff(hours)
    error = float(steps.std(ddof=1)) / math.sqrt(len(steps))
    return Trend(float(warm.mean()), float(steps.mean()), error)
