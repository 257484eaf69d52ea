# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture of the atlas: a bar for each program, by what its VMAs are; SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Any

from bench.atlas.row import Row
from bench.atlas.rows import ROWS
from vmad.advice.catalogue import ADVICE
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Measured

#: what belongs together has one colour; distinct to eyes that tell red and green badly
GROUPS: tuple[tuple[str, str, tuple[P, ...]], ...] = (
    (
        "stacks and guard pages",
        "#d55e00",
        (P.THREAD_GUARDS, P.COROUTINE_GUARDS, P.ALLOCATOR_GUARDS, P.GROWING_STACKS),
    ),
    (
        "reserved, opened piece by piece",
        "#e69f00",
        (P.ARENA_HEAPS, P.OPENED_RESERVE, P.WASM_RESERVATIONS),
    ),
    ("blocks apart, holes", "#0072b2", (P.BLOCKS_APART, P.HOLES)),
    ("moved, or written apart", "#cc79a7", (P.MOVED, P.WRITTEN_APART, P.FORKED, P.LATENT)),
    (
        "advice, rights and other flags",
        "#009e73",
        (
            P.ACCESS_SWITCHED,
            P.CODE,
            P.ADVISED,
            P.FORK_ADVISED,
            P.LOCKED,
            P.ACCOUNTED,
            P.OTHER_FLAGS,
            P.USERFAULTFD,
            P.POLICIES,
            P.NAMES,
            P.DEVICE_ZERO,
        ),
    ),
    (
        "files and memory objects",
        "#56b4e9",
        (
            P.MANY_OBJECTS,
            P.MANY_SEGMENTS,
            P.KERNEL_RINGS,
            P.OBJECT_IN_PIECES,
            P.OBJECT_REVERSED,
            P.OBJECT_SPLIT,
            P.DELETED_FILES,
            P.DRIVER,
        ),
    ),
    ("libraries, heap, stack", "#c8c8c8", (P.LIBRARIES, P.MANY_LIBRARIES, P.ORDINARY, P.UNDECIDED)),
)

_BAR, _STEP, _LABEL, WIDTH, _COUNT = 11, 15, 400, 450, 64
_TOP = 84
#: the group of rows whose shapes are made without a program
NO_PROGRAMS = "Patterns"


def picture(results: dict[str, dict[str, Any]]) -> str:
    """Real programs without advice, most VMAs first within each group of the page."""
    advised = {
        record.proof.atlas[1] for record in ADVICE.values() if isinstance(record.proof, Measured)
    }
    rows = [
        row
        for row in ROWS.values()
        if "vmas" in results.get(row.name, {})
        and row.name not in advised
        and row.group != NO_PROGRAMS
    ]
    parts: list[str] = []
    y = _TOP
    for group, members in groupby(rows, key=lambda row: row.group):
        y += 10
        parts.append(f'<text class="group" x="8" y="{y + 10}">{escape(group)}</text>')
        y += 18
        for row in sorted(members, key=lambda row: -results[row.name]["vmas"]):
            parts += _bar(row, results[row.name], y)
            y += _STEP
    return "\n".join([*_head(y + 12), *parts, "</svg>"]) + "\n"


def _head(height: int) -> Iterator[str]:
    width = _LABEL + WIDTH + _COUNT + 12
    yield "<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        'aria-label="VMAs of real programs by pattern">'
    )
    yield (
        "<style>text{font:10px sans-serif;fill:#222}.title{font:bold 14px sans-serif}"
        ".group{font:bold 11px sans-serif}.count{text-anchor:end}.load{fill:#666}</style>"
    )
    yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
    yield '<text class="title" x="8" y="20">What the VMAs of real programs are</text>'
    yield (
        '<text class="load" x="8" y="36">Share of each pattern; the number of VMAs stands at the '
        "right. docs/atlas.md has the rest.</text>"
    )
    x, y = 8, 48
    for title, colour, _ in GROUPS:
        length = 26 + int(len(title) * 5.4)
        if x + length > width:
            x, y = 8, y + 18
        yield f'<rect x="{x}" y="{y}" width="12" height="11" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="{y + 9}">{escape(title)}</text>'
        x += length


def _bar(row: Row, result: dict[str, Any], y: int) -> Iterator[str]:
    base = y + 9
    text = f'{escape(row.program)} <tspan class="load">{escape(_short(row))}</tspan>'
    yield f'<text x="16" y="{base}">{text}</text>'
    x, total = float(_LABEL), result["vmas"]
    for title, colour, patterns in GROUPS:
        vmas = sum(result["patterns"].get(pattern.value, 0) for pattern in patterns)
        if not vmas:
            continue
        width = vmas / total * WIDTH
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
            f"<title>{escape(row.name)}: {vmas:,} {escape(title)}</title></rect>"
        )
        x += width
    end = _LABEL + WIDTH + _COUNT
    yield f'<text class="count" x="{end}" y="{base}">{total:,}</text>'


def _short(row: Row) -> str:
    room = 66 - len(row.program)
    return row.load if len(row.load) <= room else row.load[: room - 1].rstrip(" ,") + "…"
