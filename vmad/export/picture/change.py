# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture of what came and went between two looks at one process."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vmad.export.picture.modes import Entry, Mode, by_cause, by_change, by_kind
from vmad.export.picture.picture import Blocks, Scene, blocks_of
from vmad.export.picture.varints import Numbers
from vmad.model.table import Rows
from vmad.scan.explain import Explanation

SAME, CHANGED, CAME, WENT = range(4)
_SENTENCES = (
    "There before and after, with the same extent and rights.",
    "There before and after, with another extent or other rights.",
    "Mapped since.",
    "No longer mapped.",
)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces that either maps, ascending: row of before and of after, -1 where it maps none."""

    a: Numbers
    b: Numbers
    start: npt.NDArray[np.uint64]
    end: npt.NDArray[np.uint64]


def scene_of_change(before: Explanation, after: Explanation) -> Scene:
    """What was mapped before or after, cut where either has a boundary, coloured by what changed.

    A VMA that grew is what it was, changed, and what came to it.
    """
    a, b = before.table.rows, after.table.rows
    pieces = _pieces(a, b)
    change = np.full(len(pieces.a), CHANGED, np.int64)
    change[pieces.a < 0], change[pieces.b < 0] = CAME, WENT
    change[_alike(a, b, pieces)] = SAME
    pieces, change = _joined(pieces, change)
    blocks = _blocks(before, after, pieces)
    modes = (
        by_change(change, _SENTENCES),
        _causes(before, after, pieces),
        by_kind(blocks.rows["kind"].astype(np.int64)),
    )
    return Scene(blocks, modes)


def _pieces(a: Rows, b: Rows) -> _Pieces:
    edges = np.unique(np.concatenate([a["start"], a["end"], b["start"], b["end"]]))
    starts, ends = edges[:-1], edges[1:]
    of_a, of_b = _row_at(a, starts), _row_at(b, starts)
    mapped = (of_a >= 0) | (of_b >= 0)
    return _Pieces(of_a[mapped], of_b[mapped], starts[mapped], ends[mapped])


def _row_at(rows: Rows, places: npt.NDArray[np.uint64]) -> Numbers:
    """The row that maps each place, -1 where none does."""
    row = np.searchsorted(rows["start"], places, side="right").astype(np.int64) - 1
    inside = row >= 0
    inside[inside] = rows["end"][row[inside]] > places[inside]
    return np.where(inside, row, -1)


def _alike(a: Rows, b: Rows, pieces: _Pieces) -> npt.NDArray[np.bool_]:
    """Of each piece, whether both have the same VMA there."""
    same = (pieces.a >= 0) & (pieces.b >= 0)
    of_a, of_b = pieces.a[same], pieces.b[same]
    alike = np.ones(len(of_a), bool)
    for column in ("start", "end", "perms", "kind", "flags"):
        alike &= a[column][of_a] == b[column][of_b]
    same[same] = alike
    return same


def _joined(pieces: _Pieces, change: Numbers) -> tuple[_Pieces, Numbers]:
    """Pieces of one VMA that changed alike are one block."""
    row = np.where(pieces.b >= 0, pieces.b, pieces.a)
    begins = np.ones(len(row), bool)
    begins[1:] = (
        (row[1:] != row[:-1]) | (change[1:] != change[:-1]) | (pieces.start[1:] != pieces.end[:-1])
    )
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(row))[: len(first)] - 1
    joined = _Pieces(pieces.a[first], pieces.b[first], pieces.start[first], pieces.end[last])
    return joined, change[first]


def _blocks(before: Explanation, after: Explanation, pieces: _Pieces) -> Blocks:
    old, new = (blocks_of(side.table, side.pairs) for side in (before, after))
    there = pieces.b >= 0
    rows = np.empty(len(there), new.rows.dtype)
    case = np.full(len(there), -1, np.int64)
    for among, source, of, offset in (
        (there, new, pieces.b, 0),
        (~there, old, pieces.a, len(new.cases)),
    ):
        rows[among] = source.rows[of[among]]
        # only where a VMA begins is it a pair with the one below
        whole = rows["start"][among] == pieces.start[among]
        its_case = source.case[of[among]]
        case[among] = np.where(whole & (its_case >= 0), its_case + offset, -1)
    rows["start"], rows["end"] = pieces.start, pieces.end
    paths = {}
    for number, (a, b) in enumerate(zip(pieces.a.tolist(), pieces.b.tolist(), strict=True)):
        path = new.paths.get(b) if b >= 0 else old.paths.get(a)
        if path is not None:
            paths[number] = path
    has_flags = new.has_flags and old.has_flags
    return Blocks(rows, case, (*new.cases, *old.cases), paths, has_flags)


def _causes(before: Explanation, after: Explanation, pieces: _Pieces) -> Mode:
    """By cause: those of after, then those that only what went has."""
    old, new = by_cause(before), by_cause(after)
    entries: list[Entry] = list(new.entries)
    place = {entry.title: index for index, entry in enumerate(entries)}
    for entry in old.entries:
        if place.setdefault(entry.title, len(entries)) == len(entries):
            entries.append(entry)
    of_old = np.array([place[entry.title] for entry in old.entries], np.int64)
    there = pieces.b >= 0
    of_row = np.zeros(len(there), np.int64)
    of_row[there] = new.of_row[pieces.b[there]]
    of_row[~there] = of_old[old.of_row[pieces.a[~there]]]
    counts = np.bincount(of_row, minlength=len(entries)).tolist()
    counted = tuple(replace(entry, vmas=vmas) for entry, vmas in zip(entries, counts, strict=True))
    return Mode(new.key, new.title, counted, of_row)
