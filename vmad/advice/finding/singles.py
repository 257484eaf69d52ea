# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns of what is no pair: moved, cut out, mapped apart."""

from __future__ import annotations

import numpy as np

from vmad.advice.finding.closed import LARGEST_GUARD
from vmad.advice.finding.layout import FEW, Bools, Layout
from vmad.advice.pattern import Pattern
from vmad.model.kinds import Kind


def give_singles(layout: Layout) -> None:
    """What is no pair: what was moved, pieces of what was one area, blocks, the rest."""
    layout.give(layout.writable & (layout.table.rows["file"] != 0), Pattern.DEVICE_ZERO)
    layout.give(_moved(layout), Pattern.MOVED)
    layout.give(_cut_out(layout), Pattern.HOLES)
    layout.give(layout.writable, Pattern.BLOCKS_APART)
    other = layout.kind == Kind.ANON_OTHER
    executable = (layout.access & 4) != 0
    layout.give(other & executable, Pattern.CODE)
    layout.give(other, Pattern.BLOCKS_APART)
    special = layout.free & (layout.kind == Kind.SPECIAL)
    if np.count_nonzero(special) > FEW:
        layout.give(special, Pattern.DRIVER)
    layout.give(layout.free, Pattern.ORDINARY)


def _moved(layout: Layout) -> Bools:
    """Writable pieces that mremap moved after they were written, as kernel evidence tells.

    The page offset of anonymous memory is its address, until mremap moves it once it has an
    anon_vma (mm/vma.c, copy_vma). A heap that was moved, too, which no program does, was restored
    (CRIU): that tells nothing of the program.
    """
    rows = layout.table.rows
    if not layout.table.has_anon_vma:
        return np.zeros(len(rows), bool)
    away = (rows["anon_vma"] != 0) & (rows["pgoff"] != rows["start"] >> layout.page_shift)
    if np.any(away & (layout.kind == Kind.HEAP)):
        return np.zeros(len(rows), bool)
    moved: Bools = away & layout.writable
    return moved


def _cut_out(layout: Layout) -> Bools:
    """Writable pieces above a hole that were one area with the piece below it.

    Kernel evidence: they share an anon_vma and their page offsets continue each other over the
    hole, which only a cut leaves behind (find_mergeable_anon_vma takes over that of a neighbour
    alone). What only /proc shows: the hole is smaller than the pieces beside it.
    """
    rows = layout.table.rows
    cut = np.zeros(len(rows), bool)
    both = layout.writable[1:] & layout.writable[:-1] & ~layout.touches[1:]
    if layout.table.has_anon_vma:
        same = (rows["anon_vma"][1:] == rows["anon_vma"][:-1]) & (rows["anon_vma"][1:] != 0)
        pages = np.diff(layout.start) >> layout.page_shift
        cut[1:] = both & same & (np.diff(rows["pgoff"].astype(np.int64)) == pages)
    else:
        hole = layout.start[1:] - layout.end[:-1]
        beside = np.minimum(layout.size[1:], layout.size[:-1])
        cut[1:] = both & (hole <= beside) & (hole <= LARGEST_GUARD)
    return cut
