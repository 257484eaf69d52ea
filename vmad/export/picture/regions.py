# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where an address space is dense: its regions, with what lies between them left out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vmad.model.kinds import Kind
from vmad.model.table import Rows

#: bytes of unmapped address space that part two regions
PARTING = 64 << 20
#: regions shown; of more gaps the widest part them
MOST = 24

_FILES = (Kind.FILE, Kind.FILE_DELETED)


@dataclass(frozen=True, slots=True)
class Region:
    """Rows [first, stop) of a table. ``label`` says what most of it is."""

    first: int
    stop: int
    label: str


def dense_regions(rows: Rows) -> tuple[Region, ...]:
    """The regions of one address space, ascending; together they are all rows."""
    if not len(rows):
        return ()
    gaps = (rows["start"][1:] - rows["end"][:-1]).astype(np.int64)
    wide = np.flatnonzero(gaps >= PARTING)
    if len(wide) >= MOST:
        widest = np.argsort(gaps[wide], kind="stable")[-(MOST - 1) :]
        wide = np.sort(wide[widest])
    edges = [0, *(wide + 1).tolist(), len(rows)]
    return tuple(
        Region(first, stop, _label(rows["kind"][first:stop], first == 0))
        for first, stop in pairwise(edges)
    )


def _label(kinds: npt.NDArray[np.uint8], lowest: bool) -> str:
    counts = np.bincount(kinds, minlength=len(Kind))
    if counts[Kind.HEAP]:
        return "program and heap" if counts[Kind.FILE] else "heap"
    if counts[Kind.STACK]:
        return "stack"
    most = Kind(int(np.argmax(counts)))
    if most in _FILES:
        return "program" if lowest else "files"
    if most is Kind.SPECIAL:
        return "the kernel's own"
    if most is Kind.SHARED_MEMORY:
        return "shared memory"
    return "anonymous memory"
