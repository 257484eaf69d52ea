# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the tests for patterns ask of an address space, and the answer that they fill in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vmad.advice.pattern import Pattern
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: fewer than so many of a kind are nobody's pattern
FEW = 4
#: a pattern's number in the answer
NUMBER = {pattern: number for number, pattern in enumerate(Pattern)}
#: the number of a row without one yet
UNSET = 255


class Layout:
    """Columns of the table that several tests ask for, and the answer, a number per row."""

    def __init__(self, table: VmaTable, of_row: npt.NDArray[np.uint8], page_shift: int) -> None:
        rows = table.rows
        self.table = table
        self.of_row = of_row
        self.page_shift = page_shift
        self.kind = rows["kind"]
        self.start: npt.NDArray[np.int64] = rows["start"].astype(np.int64)
        self.end: npt.NDArray[np.int64] = rows["end"].astype(np.int64)
        self.size = self.end - self.start
        self.access = rows["perms"] & 7
        self.shared: Bools = (rows["perms"] & 8) != 0
        #: touches the row before
        self.touches: Bools = np.zeros(len(rows), bool)
        self.touches[1:] = self.start[1:] == self.end[:-1]
        self.writable = (self.kind == Kind.ANON_WRITABLE) & (self.access & 2 != 0)

    @property
    def free(self) -> Bools:
        """Rows without a pattern yet."""
        free: Bools = self.of_row == UNSET
        return free

    def give(self, rows: Rows | Bools, pattern: Pattern) -> None:
        """These rows have this pattern, where they have none yet."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        chosen = chosen[self.of_row[chosen] == UNSET]
        self.of_row[chosen] = NUMBER[pattern]
