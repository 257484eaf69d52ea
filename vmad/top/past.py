# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The counts of every process over the last minutes, one a sample: what sparklines are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vmad.sources.source import Census

Counts = npt.NDArray[np.int32]

#: samples that are kept
KEPT = 240


class Past:
    """``kept`` columns of counts, a row for each process of the newest census; -1 is unknown."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._who: npt.NDArray[np.void] | None = None
        self._counts = np.empty((0, kept), np.int32)
        self._taken = 0

    def sample(self, census: Census) -> None:
        """The next column."""
        who = census[["pid", "start_time"]].copy()
        if self._who is None or not np.array_equal(who, self._who):
            self._align(who)
        column = self._taken % self._kept
        self._counts[:, column] = np.minimum(census["map_count"], np.iinfo(np.int32).max)
        self._taken += 1

    def columns(self) -> Counts:
        """A copy: a row for each process of the newest census, oldest first."""
        return np.roll(self._counts, -(self._taken % self._kept), axis=1)

    def _align(self, who: npt.NDArray[np.void]) -> None:
        """Bring the rows into the order of ``who``, which ascends by pid as the one before did."""
        counts = np.full((len(who), self._kept), -1, np.int32)
        before = self._who
        if before is not None and len(before):
            at = np.searchsorted(before["pid"], who["pid"])
            at[at == len(before)] = 0
            same = np.flatnonzero(before[at] == who)
            counts[same] = self._counts[at[same]]
        self._who, self._counts = who, counts
