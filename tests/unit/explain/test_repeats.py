# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Repeating runs of VMAs are found, counted whole and named for what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.explain.tables import (
    ACCESS,
    DIFFERENT,
    KIB,
    LATENT,
    MOVED,
    Area,
    alternating,
    table_of,
)
from vmad.export.repeat_text import repeat_line
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.rules.judged_pairs import judge_pairs
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.stock import StockRules
from vmad.scan.repeats import Repeat, find_repeats
from vmad.scan.shapes import Shape, shape_of

KERNEL = KernelInfo("6.1.0", page_shift=12)


def repeats(table: VmaTable) -> tuple[Repeat, ...]:
    return find_repeats(table, judge_pairs(table, StockRules(KERNEL), RelaxedRules(KERNEL)))


def lines(*areas: Area) -> list[str]:
    return [repeat_line(repeat) for repeat in repeats(table_of(areas))]


def test_guard_pages_are_one_line_however_many() -> None:
    (repeat,) = repeats(table_of(alternating(59_999)))

    assert (repeat.runs, repeat.pitch) == (1, 8 * KIB)
    assert shape_of(repeat) is Shape.GUARD_PAGES
    assert repeat_line(repeat) == (
        "59,999 pairs alternate rw-p 4 KiB / ---p 4 KiB, 8 KiB apart: guard pages"
    )


def test_large_closed_pieces_are_reserved_address_space_not_guards() -> None:
    (line,) = lines(*alternating(100, guard=16 << 20, piece=256 * KIB))

    assert line.endswith(f": {Shape.RESERVED.value}")


def test_pieces_of_many_sizes_are_one_pattern() -> None:
    areas = [
        Area("rw-p", 4 * KIB * (1 + number % 7), DIFFERENT if number else None)
        for number in range(101)
    ]
    (line,) = lines(*areas)

    assert line == (
        "100 pairs rw-p of 4 KiB to 28 KiB, mostly 16 KiB: "
        "pieces that were written to before they became neighbours"
    )


def test_equal_pieces_with_alternating_sizes_are_told_with_both_sizes() -> None:
    areas = [Area("rw-p", (8 if number % 2 else 64) * KIB, LATENT) for number in range(40)]
    (line,) = lines(*areas)

    assert "alternate rw-p 8 KiB / rw-p 64 KiB, 72 KiB apart" in line


def test_runs_of_one_pattern_are_added_up() -> None:
    stack = alternating(9, guard=4 * KIB, piece=8 << 20)
    lone = Area("r-xp", 4 * KIB, kind=Kind.FILE, gap=1 << 30)
    (repeat,) = repeats(table_of([*stack, lone, *stack, lone, *stack]))

    assert repeat.runs == 3
    assert shape_of(repeat) is Shape.GUARD_PAGES


def test_too_few_repetitions_are_no_pattern() -> None:
    assert lines(*alternating(4)) == []


@pytest.mark.parametrize(
    ("facts", "shape"),
    [(LATENT, Shape.LATENT), (DIFFERENT, Shape.WRITTEN_APART), (ACCESS, Shape.ACCESS)],
)
def test_equal_pieces_are_named_after_what_keeps_them_apart(facts: int, shape: Shape) -> None:
    (repeat,) = repeats(table_of([Area(facts=facts)] * 20))

    assert shape_of(repeat) is shape


def test_moved_pieces_are_named_after_the_decisive_reason() -> None:
    (repeat,) = repeats(table_of([Area(facts=MOVED & ~DIFFERENT)] * 20))

    assert shape_of(repeat) is Shape.MOVED


def test_mapped_files_are_counted_as_vmas() -> None:
    areas = [Area("r--s", 16 * KIB, kind=Kind.FILE_DELETED, gap=4 * KIB)] * 1000
    (line,) = lines(*areas)

    assert line == "1,000 VMAs r--s of 16 KiB, 20 KiB apart: mappings of deleted files"


_areas = st.builds(
    Area,
    perms=st.sampled_from(["rw-p", "---p", "r--p"]),
    size=st.sampled_from([4 * KIB, 8 * KIB]),
    facts=st.sampled_from([None, ACCESS, DIFFERENT]),
)


@given(st.lists(_areas, min_size=1, max_size=8), st.integers(1, 30))
def test_every_vma_is_in_one_pattern_at_most(areas: list[Area], times: int) -> None:
    table = table_of([Area(), *areas * times])
    found = repeats(table)

    rows = np.concatenate([np.empty(0, np.int64), *(repeat.rows for repeat in found)])
    assert len(rows) == len(set(rows.tolist()))
    assert all(0 <= row < len(table.rows) for row in rows.tolist())
    assert [repeat.vmas for repeat in found] == [len(repeat.rows) for repeat in found]
