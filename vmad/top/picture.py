# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The address space in characters: a strip for each dense region, a letter or digit per cell.

A digit is what keeps VMAs apart, as numbered in the legend; a letter is a kind of VMA that stands
alone. Colours are those of the picture in the browser, where there are colours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vmad.export.picture.modes import Mode, by_cause
from vmad.export.picture.regions import Region, dense_regions
from vmad.export.picture.strips import Strip, amounts_between, strip_of
from vmad.export.quantities import count
from vmad.model.kinds import Kind
from vmad.scan.explain import Explanation
from vmad.top.text import Line, Look, Part, padded

LETTERS: dict[Kind, str] = {
    Kind.ANON_WRITABLE: "w",
    Kind.ANON_NO_ACCESS: "-",
    Kind.ANON_OTHER: "o",
    Kind.HEAP: "h",
    Kind.STACK: "s",
    Kind.FILE: "f",
    Kind.FILE_DELETED: "d",
    Kind.SHARED_MEMORY: "m",
    Kind.SPECIAL: "k",
}
_DIGITS = "123456789"
#: columns before a strip: what it is, how many VMAs
_LABEL, _COUNT = 17, 9
_ADDRESS = 15
#: from this width on, addresses are shown too
_WIDE = 110
#: cells of a unit of width at most, so that few VMAs are no wide plain
_WIDEST = 3.0


def symbols(explanation: Explanation) -> list[str]:
    """What each cause is drawn as, in their order."""
    digits = iter(_DIGITS)
    return [
        next(digits, "+") if cause.kind is None else LETTERS[cause.kind]
        for cause in explanation.causes
    ]


def picture(explanation: Explanation, width: int, height: int) -> list[Line]:
    """The whole address space in about ``height`` lines of ``width`` columns."""
    rows = explanation.table.rows
    strips = [strip_of(rows, region) for region in dense_regions(rows)]
    if not strips:
        return []
    mode, marks = by_cause(explanation), symbols(explanation)
    before = 2 + _LABEL + 1 + _COUNT + 1 + (_ADDRESS + 1 if width >= _WIDE else 0)
    cells = max(width - before, 8)
    scale = _fitting(strips, cells, max(height, len(strips)))
    lines: list[Line] = []
    for strip in strips:
        drawn = _cells(strip, scale, mode, marks)
        label = _label(strip.region, explanation, width >= _WIDE)
        for first in range(0, len(drawn), cells):
            head = label if first == 0 else " " * len(label)
            lines.append((Part(head, Look.DIM), *_merged(drawn[first : first + cells])))
    return lines


def _label(region: Region, explanation: Explanation, address: bool) -> str:
    vmas = count(region.stop - region.first)
    text = f"  {padded(region.label, _LABEL)} {padded(vmas, _COUNT, 'r')} "
    if address:
        start = int(explanation.table.rows["start"][region.first])
        text += padded(f"0x{start:x}", _ADDRESS) + " "
    return text


def _fitting(strips: Sequence[Strip], cells: int, lines: int) -> float:
    """Cells per unit, so that all strips take at most ``lines`` lines, or one each."""
    low, high = 1e-7, _WIDEST
    if _lines(strips, cells, high) <= lines:
        return high
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _lines(strips, cells, middle) <= lines else (low, middle)
    return low


def _lines(strips: Sequence[Strip], cells: int, scale: float) -> int:
    return sum(max(1, int(np.ceil(strip.units * scale / cells))) for strip in strips)


def _cells(strip: Strip, scale: float, mode: Mode, marks: Sequence[str]) -> list[Part]:
    """Each cell of one strip: what most of it is."""
    number = max(1, int(np.ceil(strip.units * scale - 1e-9)))
    # a region that is smaller than a cell is a cell all the same
    edges = np.linspace(0, max(number / scale, strip.units), number + 1)
    of_row = mode.of_row[strip.region.first : strip.region.stop]
    wide = strip.right - strip.left
    shares = np.array(
        [amounts_between(edges, strip, wide * (of_row == entry)) for entry in range(len(marks))]
    )
    most = shares.argmax(axis=0)
    empty = shares.sum(axis=0) * 2 < np.diff(edges)
    # the last cell is as long as what is left of the strip
    empty[-1] = bool(shares[:, -1].sum() <= 0)
    return [
        Part(" ") if blank else Part(marks[entry], ground=mode.entries[entry].colours.dark)
        for entry, blank in zip(most.tolist(), empty.tolist(), strict=True)
    ]


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Neighbours that look alike as one."""
    merged: list[Part] = []
    for part in parts:
        if merged and merged[-1].ground == part.ground:
            merged[-1] = Part(merged[-1].text + part.text, part.look, part.ground)
        else:
            merged.append(part)
    return merged
