# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The VMAs of an address space: the maple tree since 6.1, the red-black tree before, in bulk.

Each level of a tree is one read. What is followed is checked: a node that was freed, a tree too
deep or that does not end, a VMA that is not where the tree has it, all mean that the tree changed
under the reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import U64, Look, Torn

#: levels; a maple tree of a million VMAs has 6, a red-black tree 40
DEEPEST_MAPLE = 12
DEEPEST_RED_BLACK = 64
#: VMAs, beyond any limit that has been seen in the field; a capture holds no more
MOST = 4 << 20
#: nodes of a level beyond one for each VMA: a node holds two entries or more, and VMAs and the gaps
#: between them are the entries
_SPARE = 2

#: enum maple_type (include/linux/maple_tree.h, 6.1 to 7.3)
_LEAF_64, _RANGE_64, _ARANGE_64 = 1, 2, 3
_END = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NODE = ~np.uint64(0xFF)


@dataclass(frozen=True, slots=True)
class Level:
    """VMAs (or nodes) by address of their structure, ascending; ``first`` and ``last`` (bytes,
    inclusive) are where the tree has each.
    """

    entries: U64
    first: U64
    last: U64


def find_vmas(look: Look, layout: Layout, mm: int, count: int) -> Level:
    """All VMAs of an mm_struct, ``count`` by its own word. Raises Torn."""
    root = layout.get("mm_struct.mm_mt.ma_root")
    if root is not None:
        return _maple(look, layout, look.one(mm, root), count)
    return _red_black(look, layout, look.one(mm, layout["mm_struct.mm_rb"]), count)


def _maple(look: Look, layout: Layout, root: int, count: int) -> Level:
    """mas_* of lib/maple_tree.c, for a tree that nobody locks."""
    if root == 0:
        empty = np.empty(0, np.uint64)
        return Level(empty, empty, empty)
    if root & 3 != 2 or root < 4096:  # xa_is_node()
        raise Torn("the maple tree has no root node")
    level = Level(np.array([root], np.uint64), np.zeros(1, np.uint64), np.array([_END]))
    most = min(count + _SPARE, MOST)
    for _ in range(DEEPEST_MAPLE):
        kinds = set((level.entries >> np.uint64(3) & np.uint64(0xF)).tolist())
        if kinds == {_LEAF_64}:
            slots, low, high = _slots(look, layout, level, "maple_range_64")
            there = slots != 0
            slots, low, high = slots[there], low[there], high[there]
            if (slots & np.uint64(3)).any():  # XA_ZERO_ENTRY: a fork is under way
                raise Torn("the maple tree holds a reserved entry")
            return Level(slots, low, high)
        if kinds == {_ARANGE_64}:
            structure = "maple_arange_64"
        elif kinds == {_RANGE_64}:
            structure = "maple_range_64"
        else:
            raise Torn("a level of the maple tree is of mixed kinds")
        level = Level(*_slots(look, layout, level, structure))
        # mt_mk_node() sets bit 2 (MAPLE_ENODE_NULL)
        if (level.entries & np.uint64(7) != 4).any():
            raise Torn("an inner node of the maple tree has an empty slot")
        if len(level.entries) > most:
            raise Torn("the maple tree has more nodes than its VMAs need")
    raise Torn("the maple tree does not end")


def _slots(look: Look, layout: Layout, level: Level, structure: str) -> tuple[U64, U64, U64]:
    """(entry, first, last) of every slot in use of the nodes of one level, ascending."""
    nodes, low, high = level.entries, level.first, level.last
    pivot_field = layout[f"{structure}.pivot"]
    slot_field = layout[f"{structure}.slot"]
    pivots, slots = pivot_field.size // 8, slot_field.size // 8
    at = nodes & _NODE
    read = look.words(
        at,
        [
            layout["maple_node.parent"].offset,
            *range(pivot_field.offset, pivot_field.offset + pivot_field.size, 8),
            *range(slot_field.offset, slot_field.offset + slot_field.size, 8),
        ],
    )
    if (read[0] & _NODE == at).any():  # ma_dead_node()
        raise Torn("a node of the maple tree was freed")
    pivot = np.stack([*read[1 : 1 + pivots], high], axis=1)[:, :slots]
    entry = np.stack(read[1 + pivots :], axis=1)
    # a pivot of 0 behind the first, and the last slot, stand for the end of the node
    ends = pivot == 0
    ends[:, 0] = False
    pivot = np.where(ends | (pivot > high[:, None]), high[:, None], pivot)
    begin = np.empty_like(pivot)
    begin[:, 0] = low
    begin[:, 1:] = pivot[:, :-1] + np.uint64(1)
    used = np.ones(pivot.shape, bool)
    used[:, 1:] = ~np.logical_or.accumulate(pivot[:, :-1] >= high[:, None], axis=1)
    if (used & (pivot < begin)).any():
        raise Torn("the pivots of a maple node do not ascend")
    return entry[used], begin[used], pivot[used]


def _red_black(look: Look, layout: Layout, root: int, count: int) -> Level:
    """The tree that mm_struct.mm_rb is the root of, until 6.0 (524e00b36e8c)."""
    children = [layout["rb_node.rb_left"], layout["rb_node.rb_right"]]
    inside = np.uint64(layout["vm_area_struct.vm_rb"].offset)
    level = np.array([root] if root else [], np.uint64)
    levels = [level]
    total = 0
    for _ in range(DEEPEST_RED_BLACK):
        if not len(level):
            vmas = np.concatenate(levels) - inside
            start, end = layout["vm_area_struct.vm_start"], layout["vm_area_struct.vm_end"]
            starts, ends = look.fields(vmas, [start, end])
            order = np.argsort(starts, kind="stable")
            return Level(vmas[order], starts[order], ends[order] - np.uint64(1))
        level = np.concatenate(look.fields(level, children))
        level = level[level != 0]
        levels.append(level)
        total += len(level)
        if total > min(count, MOST):
            break
    raise Torn("the tree of VMAs does not end")
