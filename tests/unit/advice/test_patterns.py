# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which pattern VMAs belong to, of address spaces written down VMA by VMA."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.unit.explain.tables import ACCESS, DIFFERENT, MOVED, Area, table_of
from vmad.advice.atlas import KnownRow, resembles
from vmad.advice.finding.files import MANY
from vmad.advice.pattern import Pattern
from vmad.advice.patterns import find_patterns
from vmad.advice.situation import PatternCount, Situation
from vmad.model import facts as f
from vmad.model.flags import VM_GROWSDOWN
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.rules.judged_pairs import judge_pairs
from vmad.rules.kernel_rules import KernelRules

KIB = 1024
KERNEL = KernelInfo("6.18.3")
NUMBER = 40


def main_pattern(table: VmaTable, threads: int | None = 1) -> PatternCount:
    rules = KernelRules.of(KERNEL)
    pairs = judge_pairs(table, rules.stock, rules.relaxed)
    return find_patterns(table, pairs, threads, KERNEL.page_shift).counts[0]


def table(areas: Iterable[Area]) -> VmaTable:
    return table_of(areas)


def libraries(number: int, kind: Kind = Kind.FILE) -> list[Area]:
    return [
        Area(perms, kind=kind, path=f"/plugins/{each}.so{' (deleted)' if kind > 5 else ''}")
        for each in range(number)
        for perms in ("r--p", "r-xp", "r--p", "rw-p")
    ]


def test_hundreds_of_libraries_are_a_pattern_and_some_are_none() -> None:
    assert main_pattern(table(libraries(MANY // 2))).pattern is Pattern.LIBRARIES
    found = main_pattern(table(libraries(MANY + 10)))

    assert found.pattern is Pattern.MANY_LIBRARIES
    assert found.objects == MANY + 10


@pytest.mark.parametrize(
    "path", ["anon_inode:[io_uring]", "anon_inode:[perf_event]", "/[aio] (deleted)", "socket:[77]"]
)
def test_what_the_kernel_shares_is_not_one_file_in_many_pieces(path: str) -> None:
    rings = [Area("rw-s", kind=Kind.FILE, path=path, gap=4 * KIB)] * NUMBER

    assert main_pattern(table(rings)).pattern is Pattern.KERNEL_RINGS


def test_memory_objects_and_files_are_told_apart() -> None:
    shared = [Area("rw-s", kind=Kind.SHARED_MEMORY, path=f"/memfd:{n}") for n in range(NUMBER)]
    files = [Area("rw-s", kind=Kind.FILE, path=f"/data/{n}") for n in range(NUMBER)]
    of_shared = table(shared)
    of_shared.rows["file"] = range(1, NUMBER + 1)

    assert main_pattern(of_shared).pattern is Pattern.MANY_SEGMENTS
    assert main_pattern(table(files)).pattern is Pattern.MANY_OBJECTS


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/tmp/tables/{}", Pattern.MANY_OBJECTS),
        ("/tmp/tables/{} (deleted)", Pattern.DELETED_FILES),
        ("/dev/shm/psm_{}", Pattern.MANY_SEGMENTS),
        ("/dev/shm/psm_{} (deleted)", Pattern.MANY_SEGMENTS),
        ("/SYSV{:08x} (deleted)", Pattern.MANY_SEGMENTS),
        ("/dev/zero (deleted)", Pattern.MANY_SEGMENTS),
    ],
)
def test_files_of_a_tmpfs_are_files(path: str, pattern: Pattern) -> None:
    areas = [Area("rw-s", kind=Kind.SHARED_MEMORY, path=path.format(n)) for n in range(NUMBER)]
    of_memory = table(areas)
    of_memory.rows["file"] = range(1, NUMBER + 1)

    assert main_pattern(of_memory).pattern is pattern


def test_stacks_that_grow_are_a_pattern_with_what_is_reserved_below_them() -> None:
    stacks = [Area("---p", 64 * KIB, gap=4 * KIB), Area("rw-p", 64 * KIB, ACCESS)] * NUMBER
    grown = table(stacks)
    grown.rows["flags"][1::2] |= VM_GROWSDOWN

    assert main_pattern(table(stacks)).pattern is not Pattern.GROWING_STACKS
    assert main_pattern(grown).pattern is Pattern.GROWING_STACKS
    assert main_pattern(grown).vmas == 2 * NUMBER


def test_pages_that_were_written_and_then_closed_are_no_guard_pages() -> None:
    pages = [Area("---p", 4 * KIB, ACCESS), Area("rw-p", 4 * KIB, ACCESS)] * NUMBER
    written = table(pages)
    written.rows["anon_vma"] = 7

    assert main_pattern(table(pages)).pattern is Pattern.ALLOCATOR_GUARDS
    assert main_pattern(written).pattern is Pattern.OPENED_RESERVE


def test_what_mremap_moved_is_told_so_while_a_child_shares_it() -> None:
    shared = DIFFERENT & ~(f.A_EXCLUSIVE | f.B_EXCLUSIVE)
    moved = (MOVED & ~(f.A_EXCLUSIVE | f.B_EXCLUSIVE)) | f.PGOFF

    assert main_pattern(table([Area(facts=shared)] * NUMBER)).pattern is Pattern.FORKED
    assert main_pattern(table([Area(facts=moved)] * NUMBER)).pattern is Pattern.MOVED


def test_sizes_of_blocks_are_told_from_those_of_malloc() -> None:
    blocks = [Area("rw-p", 128 * KIB, gap=4 * KIB)] * NUMBER
    of_malloc = [Area("rw-p", 132 * KIB, gap=4 * KIB)] * NUMBER

    assert main_pattern(table(blocks)).round_share == 1
    assert main_pattern(table(of_malloc)).round_share == 0


def test_a_small_process_without_a_pattern_is_like_no_row_of_the_atlas() -> None:
    def of(pattern: Pattern, vmas: int) -> Situation:
        return Situation((PatternCount(pattern, vmas),), (), (6, 18), {}, vmas)

    def row(pattern: Pattern, vmas: int) -> KnownRow:
        return KnownRow("row", "a program", "a load", vmas, {pattern.value: vmas}, frozenset())

    assert resembles(of(Pattern.LIBRARIES, 23), [row(Pattern.LIBRARIES, 24)]) is None
    assert resembles(of(Pattern.HOLES, 2_300), [row(Pattern.HOLES, 2_400)]) is not None
