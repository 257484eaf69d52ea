# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which row of the atlas a process resembles: the same program, and the same patterns.

``atlas.json`` beside this file is written by ``make atlas``; docs/atlas.md tells more of each row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vmad.advice.select import main_patterns
from vmad.advice.situation import Situation
from vmad.model.program import Program

#: share of the VMAs that must be of the same patterns
ALIKE = 0.8
#: a row with so many times more or fewer VMAs is another load
FACTOR = 8
#: every process has one: it tells nothing
_LIBCS = frozenset({Program.GLIBC.value, Program.MUSL.value})
_MUSL = frozenset({Program.MUSL.value})


@dataclass(frozen=True, slots=True)
class KnownRow:
    """One row: what ran, under which load, what its VMAs were; ``programs`` have no versions."""

    name: str
    program: str
    load: str
    vmas: int
    patterns: Mapping[str, int]
    programs: frozenset[str]

    def __str__(self) -> str:
        """As it follows "like": "Node, live heap of 1,024 MiB (4,550 VMAs)"."""
        return f"{self.program}, {self.load} ({self.vmas:,} VMAs)"


@cache
def known_rows() -> tuple[KnownRow, ...]:
    """The rows that were measured; none where there is no atlas."""
    # not importlib.resources, which brings zipfile: a tenth of what explain costs
    place = Path(__file__).with_name("atlas.json")
    if not place.is_file():
        return ()
    return tuple(
        KnownRow(
            row["name"], row["program"], row["load"], row["vmas"], row["patterns"],
            frozenset(_without_version(program) for program in row["programs"]),
        )
        for row in json.loads(place.read_text("utf-8"))
    )  # fmt: skip


def resembles(situation: Situation, rows: Sequence[KnownRow] | None = None) -> KnownRow | None:
    """The row that is most like the process; None where no row has the same programs and patterns.

    Likeness is the share of VMAs that are of the same pattern in both. Among rows that are as
    like, the one nearest in number.
    """
    all_of_it = {recognised.program.value for recognised in situation.programs}
    runs = all_of_it - _LIBCS
    # libraries, heap and stack are alike in all that is small
    if not situation.vmas or not (runs or main_patterns(situation)):
        return None
    best: tuple[float, float] | None = None
    nearest = None
    for row in known_rows() if rows is None else rows:
        # musl's own allocator maps otherwise than glibc's
        if row.programs - _LIBCS != runs or not row.programs & _MUSL <= all_of_it or not row.vmas:
            continue
        times = max(row.vmas, situation.vmas) / min(row.vmas, situation.vmas)
        alike = _alike(situation, row)
        if alike < ALIKE or times > FACTOR:
            continue
        if best is None or (round(alike, 1), -times) > best:
            best, nearest = (round(alike, 1), -times), row
    return nearest


def _alike(situation: Situation, row: KnownRow) -> float:
    shares = {
        counted.pattern.value: counted.vmas / situation.vmas for counted in situation.patterns
    }
    return sum(
        min(share, row.patterns.get(pattern, 0) / row.vmas) for pattern, share in shares.items()
    )


def _without_version(program: str) -> str:
    """("Node 20.1") -> "Node"; names of programs hold no digits of their own at the end."""
    head, _, tail = program.rpartition(" ")
    return head if tail[:1].isdigit() else program
