# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Columns of small numbers as bytes: little-endian base 128, the seventh bit of a group goes on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

#: groups of seven bits that a number may take: page numbers have at most 52 bits
LONGEST = 8


def varints(numbers: Numbers) -> bytes:
    """Each number (not negative, below 2^56) in one byte per seven bits, the lowest first."""
    length = np.ones(len(numbers), np.int64)
    for group in range(1, LONGEST):
        length += numbers >> 7 * group > 0
    ends = np.cumsum(length)
    result = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - length
    for group in range(int(np.max(length, initial=0))):
        among = length > group
        more = (length[among] > group + 1).astype(np.int64) << 7
        result[starts[among] + group] = (numbers[among] >> 7 * group & 0x7F) | more
    return result.tobytes()
