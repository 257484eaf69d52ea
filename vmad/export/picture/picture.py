# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From an explained address space to what draws it: a head in JSON and columns of small numbers.

VMAs have few *looks* (rights, flags, verdict, colours), so that each is an index into a table, the
most frequent ones in one byte; its size and the gap below it are numbers of pages. That makes two
to four bytes for most VMAs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vmad.export.explain_json import judgement_object
from vmad.export.picture.modes import Mode, by_cause, by_kind
from vmad.export.picture.names import name_numbers, names_within
from vmad.export.picture.regions import dense_regions
from vmad.export.picture.varints import Numbers, varints
from vmad.export.printable import printable
from vmad.model.flags import flag_masks
from vmad.model.kernel import KernelInfo
from vmad.model.table import Rows, VmaTable
from vmad.rules.catalogue import reason
from vmad.rules.judged_pairs import JudgedPairs, PairCase
from vmad.scan.explain import Explanation

SCHEMA = "vmad.map/1"
#: bytes that a VMA may take, names included
BYTES_PER_VMA = 8
#: of which its look takes at most
BYTES_PER_LOOK = 2
#: sizes are in pages of 4 KiB, the smallest of any machine
UNIT_SHIFT = 12
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Picture:
    """``head`` is JSON; the columns are look, pages, gap and name, as :func:`encoded` has them."""

    head: Mapping[str, Any]
    columns: tuple[bytes, ...]
    vmas: int

    def encoded(self) -> bytes:
        """Length of the head (4 bytes, little-endian), head, columns."""
        head = {**self.head, "columns": [len(column) for column in self.columns]}
        text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
        return b"".join((_LENGTH.pack(len(text)), text, *self.columns))


@dataclass(frozen=True)
class Blocks:
    """What is drawn: VMAs, or pieces of them. ``case[i]`` is -1 where row i has no pair."""

    rows: Rows
    case: Numbers
    cases: Sequence[PairCase]
    paths: Mapping[int, str] = field(default_factory=dict)
    has_flags: bool = True


def blocks_of(table: VmaTable, pairs: JudgedPairs) -> Blocks:
    """Every VMA of a table."""
    case = np.full(len(table.rows), -1, np.int64)
    case[pairs.upper] = pairs.case
    return Blocks(table.rows, case, pairs.cases, table.paths, table.has_flags)


@dataclass(frozen=True)
class Scene:
    """Blocks and the ways to colour them, the first one first."""

    blocks: Blocks
    modes: tuple[Mode, ...]


def scene_of(explanation: Explanation) -> Scene:
    """Every VMA of one process, by what keeps it apart, or by kind."""
    table = explanation.table
    modes = (by_cause(explanation), by_kind(table.rows["kind"].astype(np.int64)))
    return Scene(blocks_of(table, explanation.pairs), modes)


def picture_of(explanation: Explanation, *, addresses: bool = True) -> Picture:
    """The picture of one process; without ``addresses`` it has neither these nor names."""
    return composed(explanation, scene_of(explanation), addresses=addresses)


def composed(explanation: Explanation, scene: Scene, *, addresses: bool = True) -> Picture:
    """What draws this scene of a process."""
    blocks, modes = scene.blocks, scene.modes
    rows = blocks.rows
    starts = (rows["start"] >> UNIT_SHIFT).astype(np.int64)
    ends = (rows["end"] >> UNIT_SHIFT).astype(np.int64)
    gaps = starts - np.concatenate((starts[:1], ends[:-1]))
    regions = dense_regions(rows)
    if not addresses:
        gaps[[region.first for region in regions]] = 0
    pages, gap = varints(ends - starts), varints(gaps[gaps > 0])
    room = (BYTES_PER_VMA - BYTES_PER_LOOK) * len(rows) - len(pages) - len(gap)
    names, of_name = names_within(blocks.paths if addresses else {}, room)
    named = np.zeros(len(rows), bool)
    named[list(of_name)] = True
    looks, flags, of_row = _looks(blocks, modes, gaps > 0, named, explanation.kernel)
    head = {
        **_about(explanation),
        "vmas": len(rows),
        "unit": 1 << UNIT_SHIFT,
        "addresses": addresses,
        "first": int(starts[0]) if addresses and len(starts) else 0,
        "regions": [{"first": region.first, "label": region.label} for region in regions],
        "modes": [_mode_object(mode) for mode in modes],
        "looks": looks,
        "flags": flags,
        "cases": [_case_object(case) for case in blocks.cases],
        "reasons": _sentences(blocks.cases),
        "names": names,
    }
    numbers = np.array(name_numbers(of_name.values()), np.int64)
    return Picture(head, (varints(of_row), pages, gap, varints(numbers)), len(rows))


def _looks(
    blocks: Blocks,
    modes: Sequence[Mode],
    gap: npt.NDArray[np.bool_],
    named: npt.NDArray[np.bool_],
    kernel: KernelInfo,
) -> tuple[list[list[Any]], list[str], Numbers]:
    """(looks, texts of flags, index of each row's look); the most frequent look is 0.

    A look is [rights, index of its flags or -1, index of its case or -1, 1 after a gap, 1 with a
    name, its entry in each mode…].
    """
    rows = blocks.rows
    flags, texts = np.full(len(rows), -1, np.int64), []
    if blocks.has_flags:
        values, flags = np.unique(rows["flags"], return_inverse=True)
        masks = flag_masks(kernel.version[:2], kernel.machine)
        texts = [_flags_text(value, masks) for value in values.tolist()]
    columns = [rows["perms"], flags, blocks.case, gap, named, *(mode.of_row for mode in modes)]
    _, firsts, of_row, counts = np.unique(
        _key(columns), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    at = firsts[order]
    looks = [
        list(look) for look in zip(*(c[at].astype(int).tolist() for c in columns), strict=True)
    ]
    return looks, texts, rank[of_row]


def _key(columns: Sequence[npt.NDArray[Any]]) -> Numbers:
    """One number per row, so that a single sort tells rows apart. No column is below -1."""
    key, span = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(np.max(column, initial=0)) + 2
        if span * width >= 1 << 62:
            key = np.unique(key, return_inverse=True)[1]
            span = int(np.max(key, initial=0)) + 1
        key = key * width + (column.astype(np.int64) + 1)
        span *= width
    return key


def _flags_text(raw: int, masks: Mapping[str, int]) -> str:
    """Codes as smaps prints them."""
    return " ".join(code for code, mask in masks.items() if raw & mask)


def _mode_object(mode: Mode) -> dict[str, Any]:
    return {
        "key": mode.key,
        "title": mode.title,
        "entries": [
            {
                "title": entry.title,
                "vmas": entry.vmas,
                "colours": list(entry.colours),
                "sentence": entry.sentence,
                "apart": entry.apart,
            }
            for entry in mode.entries
        ],
    }


def _case_object(case: PairCase) -> dict[str, Any]:
    return {
        **judgement_object(case.stock),
        "decisive": case.stock.decisive,
        "patched": case.relaxed.verdict.value,
    }


def _sentences(cases: Sequence[PairCase]) -> dict[str, str]:
    names = {name for case in cases for name in (case.stock.decisive, *case.stock.reasons)}
    return {name: reason(name).sentence for name in sorted(names)}


def _about(explanation: Explanation) -> dict[str, Any]:
    table = explanation.table
    return {
        "schema": SCHEMA,
        "pid": table.id.pid,
        "comm": printable(table.comm),
        "map_count": table.map_count,
        "max_map_count": explanation.max_map_count,
        "kernel": printable(explanation.kernel.release),
        "evidence": table.evidence.value,
    }
