# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns of what is no pair."""

from __future__ import annotations

import numpy as np

from vmad.advice.finding.closed import LARGEST_GUARD
from vmad.advice.finding.layout import FEW, Bools, Layout
from vmad.advice.pattern import Pattern
from vmad.model.kinds import Kind


def give_singles(layout: Layout) -> None:
    """What is no pair: pieces of what was one area, blocks on their own, the rest."""
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
