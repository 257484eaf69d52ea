# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads a picture's bytes back, by what docs/map.md says of them and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Block:
    """One VMA as the picture has it; addresses in bytes."""

    start: int
    end: int
    rights: int
    flags: str | None
    case: dict[str, Any] | None
    name: str | None
    entries: tuple[int, ...]


def read_picture(message: bytes) -> tuple[dict[str, Any], list[Block]]:
    """(head, blocks, the lowest first)."""
    length = int.from_bytes(message[:4], "little")
    head = json.loads(message[4 : 4 + length])
    columns, at = [], 4 + length
    for size in head["columns"]:
        columns.append(_numbers(message[at : at + size]))
        at += size
    assert at == len(message)
    looks, pages, gaps, names = columns
    firsts = {region["first"] for region in head["regions"]}
    place, last, fresh, blocks = head["first"], -1, 0, []
    for row in range(head["vmas"]):
        if row in firsts and not head["addresses"]:
            place = 0
        rights, flags, case, gap, named, *entries = head["looks"][next(looks)]
        place += next(gaps) if gap else 0
        start, place = place, place + next(pages)
        if named:
            number = next(names)
            if number == 1:
                last, fresh = fresh, fresh + 1
            elif number > 1:
                last = number - 2
        blocks.append(
            Block(
                start * head["unit"],
                place * head["unit"],
                rights,
                head["flags"][flags] if flags >= 0 else None,
                head["cases"][case] if case >= 0 else None,
                head["names"][last] if named else None,
                tuple(entries),
            )
        )
    assert [next(column, None) for column in columns] == [None] * 4
    return head, blocks


def _numbers(column: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in column:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0
    assert shift == 0
