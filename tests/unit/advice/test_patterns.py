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
from vmad.model.program import Program, Recognised
from vmad.model.table import VmaTable
from vmad.rules.judged_pairs import judge_pairs
from vmad.rules.kernel_rules import KernelRules

KIB = 1024
KERNEL = KernelInfo("6.18.3", page_shift=12)
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
        ("/dev/shm/cache/{}.arrow", Pattern.MANY_OBJECTS),
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


def guarded(block: int, guard: int, number: int = NUMBER) -> list[Area]:
    return [Area("---p", guard, ACCESS), Area("rw-p", block, ACCESS)] * number


def written(areas: Iterable[Area]) -> VmaTable:
    """All of them have been, what has no access now as well."""
    of_areas = table(areas)
    of_areas.rows["anon_vma"] = 7
    return of_areas


@pytest.mark.parametrize(
    ("areas", "pattern"),
    [
        # stacks of coroutines: with a guard beside them, or within
        (guarded(252 * KIB, 4 * KIB), Pattern.COROUTINE_GUARDS),
        (guarded(2048 * KIB, 4 * KIB), Pattern.COROUTINE_GUARDS),
        (guarded(164 * KIB, 4 * KIB), Pattern.COROUTINE_GUARDS),  # Ruby
        # what jemalloc gives back under vm.overcommit_memory=2 (its #1328)
        (guarded(84 * KIB, 8 * KIB), Pattern.OPENED_RESERVE),
        # what is given back is of any size
        (
            [area for n in range(1, 30) for area in guarded(100 * KIB, 4 * KIB * n, 1)],
            Pattern.OPENED_RESERVE,
        ),
        # blocks of any size, each behind a guard
        (
            [area for n in range(1, 30) for area in guarded(36 * KIB * n, 4 * KIB, 1)],
            Pattern.ALLOCATOR_GUARDS,
        ),
    ],
)
def test_guards_of_stacks_and_blocks_and_what_was_given_back(
    areas: list[Area], pattern: Pattern
) -> None:
    assert main_pattern(table(areas)).pattern is pattern


def test_written_slices_without_access_were_given_back() -> None:
    slices = guarded(64 * KIB, 16 * KIB)

    assert main_pattern(table(slices)).pattern is Pattern.COROUTINE_GUARDS
    assert main_pattern(written(slices)).pattern is Pattern.OPENED_RESERVE
    # whoever wrote it: no stack has a guard of its own size
    assert main_pattern(table(guarded(64 * KIB, 64 * KIB))).pattern is Pattern.OPENED_RESERVE
    # a guard page may have been cut out of a stack that had been written
    assert main_pattern(written(guarded(252 * KIB, 4 * KIB))).pattern is Pattern.COROUTINE_GUARDS


def test_threads_with_small_stacks_for_signals_are_threads() -> None:
    stacks = [*guarded(1536 * KIB, 4 * KIB), *guarded(12 * KIB, 4 * KIB, NUMBER + 4)]

    assert main_pattern(table(stacks), threads=NUMBER).pattern is Pattern.THREAD_GUARDS
    assert main_pattern(table(stacks), threads=3).pattern is not Pattern.THREAD_GUARDS


def test_a_memory_that_begins_as_an_image_of_its_module_is_webassemblys() -> None:
    image = Area("rw-p", 64 * KIB, None, Kind.SHARED_MEMORY, path="/memfd:wasm-memory-image")
    memories = [image, Area("rw-p", 64 * KIB), Area("---p", 4 << 30, ACCESS)] * NUMBER
    only_images = [image, Area("---p", 4 << 30)] * NUMBER

    assert main_pattern(table(memories)).pattern is Pattern.WASM_RESERVATIONS
    assert main_pattern(table(memories)).vmas == 3 * NUMBER
    assert main_pattern(table(only_images)).vmas == 2 * NUMBER


def test_what_is_shared_with_others_below_a_reserve_is_no_webassembly() -> None:
    ring = Area("rw-s", 64 * KIB, None, Kind.SHARED_MEMORY, path="/dev/shm/ring")
    areas = [ring, Area("---p", 4 << 30)] * NUMBER

    assert main_pattern(table(areas)).pattern is not Pattern.WASM_RESERVATIONS


def moved_blocks(heap_moved: bool = False) -> VmaTable:
    """Blocks with gaps, all of them written, and moved to where they are now; and a heap."""
    moved = written([Area(kind=Kind.HEAP), *[Area("rw-p", 132 * KIB, gap=8 * KIB)] * NUMBER])
    moved.rows["anon_vma"] = range(1, NUMBER + 2)
    moved.rows["pgoff"][0 if heap_moved else 1 :] += 100
    return moved


def test_blocks_apart_that_mremap_moved_are_told_by_their_page_offset() -> None:
    found = main_pattern(moved_blocks())

    assert found.pattern is Pattern.MOVED
    assert found.vmas == NUMBER
    assert main_pattern(moved_blocks(heap_moved=True)).pattern is Pattern.BLOCKS_APART


def test_page_offsets_tell_nothing_where_they_are_not_seen() -> None:
    seen = moved_blocks()
    unseen = VmaTable(
        seen.id, seen.comm, seen.evidence, seen.map_count, seen.rows, has_anon_vma=False
    )

    assert main_pattern(unseen).pattern is not Pattern.MOVED


def test_a_private_mapping_of_a_device_for_zeros_is_not_moved() -> None:
    zeros = written([Area("rw-p", gap=8 * KIB)] * NUMBER)
    zeros.rows["anon_vma"] = range(1, NUMBER + 1)
    zeros.rows["file"], zeros.rows["pgoff"] = 1, 0

    assert main_pattern(zeros).pattern is Pattern.DEVICE_ZERO


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


def test_only_what_runs_with_musl_is_like_a_row_of_musl() -> None:
    row = KnownRow("row", "musl", "a load", 500, {"holes": 480}, frozenset({"musl"}))

    def of(libc: Program) -> Situation:
        runs = (Recognised(libc, None, "a test says so"),)
        return Situation((PatternCount(Pattern.HOLES, 500),), runs, (6, 18), {}, 510)

    assert resembles(of(Program.MUSL), [row]) is row
    assert resembles(of(Program.GLIBC), [row]) is None
