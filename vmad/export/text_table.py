# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Columns of text that line up, whatever the width of the characters in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vmad.export.printable import text_width


def aligned(rows: Iterable[Sequence[str]], alignment: str, indent: str = "") -> list[str]:
    """One line per row; ``alignment`` has one letter per column: "l", "r".

    The last column is not padded, so that lines do not end in blanks.
    """
    table = [list(row) for row in rows]
    if not table:
        return []
    widths = [max(text_width(row[i]) for row in table) for i in range(len(alignment))]
    lines = []
    for row in table:
        cells = []
        for cell, width, side in zip(row, widths, alignment, strict=True):
            blanks = " " * (width - text_width(cell))
            cells.append(blanks + cell if side == "r" else cell + blanks)
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
