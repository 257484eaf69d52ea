# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The different values of a column.

np.unique of one array asks numpy.ma whether it is masked: importing that takes as long as judging
a process of a thousand VMAs.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)


def distinct(column: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Each value once, ascending (shape (n,), n up to the column's length)."""
    ordered = np.sort(column)
    first: npt.NDArray[np.bool_] = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    values: npt.NDArray[Number] = ordered[first]
    return values
