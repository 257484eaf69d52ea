# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Numbers over time in rings of several resolutions, one row for each thing that is watched.

A slot is ``step`` seconds of Unix time; what is put into it more than once is folded. What was
never put is MISSING, which is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]

#: no number was put into this slot
MISSING = -1
#: the largest number that a slot holds
MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Resolution:
    """``slots`` of ``step`` seconds each."""

    step: int
    slots: int

    @property
    def span(self) -> int:
        """Seconds that they cover."""
        return self.step * self.slots


#: finest first: five minutes, two hours, a day
RESOLUTIONS = (Resolution(1, 300), Resolution(15, 480), Resolution(300, 288))


class Fold(Enum):
    """What becomes of two numbers in one slot."""

    MOST = "most"
    SUM = "sum"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers, oldest first, each of ``step`` seconds; the first slot began at ``start`` (Unix
    seconds). MISSING where there is none.
    """

    start: int
    step: int
    values: Integers

    @property
    def until(self) -> int:
        """Unix seconds at which the last slot ends."""
        return self.start + self.step * len(self.values)

    @property
    def known(self) -> Integers:
        """The numbers that are there."""
        there: Integers = self.values[self.values != MISSING]
        return there


class Rings:
    """``rows`` of rings in each of ``resolutions``. Not safe for concurrent use."""

    def __init__(
        self, rows: int, fold: Fold, resolutions: Sequence[Resolution] = RESOLUTIONS
    ) -> None:
        self.fold = fold
        self.resolutions = tuple(resolutions)
        self.tables = [
            np.full((rows, resolution.slots), MISSING, np.int32) for resolution in resolutions
        ]
        #: the newest slot of each resolution, counted from the epoch; None before the first
        self.newest: list[int | None] = [None] * len(self.resolutions)

    @property
    def rows(self) -> int:
        """How many there is room for."""
        return len(self.tables[0])

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(table.nbytes for table in self.tables)

    def make_room(self, rows: int) -> None:
        """Room for so many rows, the new ones empty."""
        more = rows - self.rows
        if more > 0:
            self.tables = [
                np.vstack((table, np.full((more, table.shape[1]), MISSING, np.int32)))
                for table in self.tables
            ]

    def advance(self, at: float) -> None:
        """It is ``at`` (Unix seconds): slots that were passed over hold nothing.

        After the clock was set back, what is of a time to come is forgotten.
        """
        for number, (resolution, table) in enumerate(
            zip(self.resolutions, self.tables, strict=True)
        ):
            slot, before = int(at // resolution.step), self.newest[number]
            self.newest[number] = slot
            if before is None or slot == before:
                continue
            low, high = (before + 1, slot) if slot > before else (slot + 1, before)
            passed = np.arange(max(low, high - resolution.slots + 1), high + 1)
            table[:, passed % resolution.slots] = MISSING

    def put(self, rows: Rows, values: Integers, *times: float) -> None:
        """One number for each of these rows, none of which is there twice; MISSING puts nothing.

        ``times`` are in Unix seconds, rising: it was the same number at each.
        """
        self.advance(times[-1])
        often = self.fold is Fold.SUM
        for resolution, table in zip(self.resolutions, self.tables, strict=True):
            slots = [int(at // resolution.step) for at in times]
            oldest = slots[-1] - resolution.slots
            # what is folded into a slot once or more often is the same, but for a sum
            for group in ([slot] for slot in slots) if often else (list(dict.fromkeys(slots)),):
                kept = [slot % resolution.slots for slot in group if slot > oldest]
                cells = rows[:, None], np.array(kept, np.intp)
                table[cells] = self._folded(table[cells], values[:, None])

    def _folded(self, before: Integers, values: Integers) -> Integers:
        if self.fold is Fold.MOST:
            return np.maximum(before, values)
        if self.fold is Fold.LAST:
            return np.where(values == MISSING, before, values)
        total = np.maximum(before, 0).astype(np.int64) + np.maximum(values, 0)
        nothing = (before == MISSING) & (values == MISSING)
        return np.where(nothing, MISSING, np.minimum(total, MOST)).astype(np.int32)

    def forget(self, row: int) -> None:
        """The row is another thing's from now on."""
        for table in self.tables:
            table[row] = MISSING

    def read(self, row: int, span: float, until: float) -> Series:
        """The last ``span`` seconds up to ``until`` (Unix seconds) in the finest resolution that
        has them all, or in the one that has most of them.
        """
        number = self._finest(span)
        resolution, newest = self.resolutions[number], self.newest[number]
        last = int(until // resolution.step)
        length = min(max(-int(-span // resolution.step), 1), resolution.slots)
        first = last - length + 1
        values = np.full(length, MISSING, np.int32)
        if newest is not None:
            slots = np.arange(max(first, newest - resolution.slots + 1), min(last, newest) + 1)
            values[slots - first] = self.tables[number][row, slots % resolution.slots]
        return Series(first * resolution.step, resolution.step, values)

    def _finest(self, span: float) -> int:
        for number, resolution in enumerate(self.resolutions):
            if span <= resolution.span:
                return number
        return len(self.resolutions) - 1
