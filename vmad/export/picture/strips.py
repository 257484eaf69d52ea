# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where each VMA of a region lies on a strip: larger ones are wider, but not in proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.export.picture.regions import Region
from vmad.model.table import Rows

Places = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strip:
    """One region; ``left[i]`` and ``right[i]`` are the places of its VMA i, in units of width."""

    region: Region
    left: Places
    right: Places

    @property
    def units(self) -> float:
        """How long it is."""
        return float(self.right[-1])


def strip_of(all_rows: Rows, region: Region) -> Strip:
    """4 KiB are one unit; twice the size is half a unit more. Gaps are narrow."""
    rows = all_rows[region.first : region.stop]
    pages = (rows["end"] - rows["start"]) / 4096
    width = 1 + 0.5 * np.log2(np.maximum(pages, 1))
    gaps = np.zeros(len(rows))
    gaps[1:] = (rows["start"][1:] - rows["end"][:-1]) / 4096
    between = np.where(gaps > 0, 0.5 + 0.15 * np.log2(np.maximum(gaps, 1)), 0)
    right = np.cumsum(width + between)
    return Strip(region, right - width, right)


def amounts_between(edges: Places, strip: Strip, amounts: Places) -> Places:
    """How much of what VMAs hold (``amounts``, spread over each) lies between two edges."""
    knots = np.column_stack((strip.left, strip.right)).ravel()
    sums = np.concatenate(([0.0], np.cumsum(amounts)))
    at_knots = np.column_stack((sums[:-1], sums[1:])).ravel()
    return np.diff(np.interp(edges, knots, at_knots))
