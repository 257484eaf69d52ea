# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is shown is right for the pattern, the program and its version; nothing that cannot work."""

from __future__ import annotations

import pytest

from tests.unit.advice.situations import VMAS, recognised, situation
from vmad.advice.pattern import Pattern
from vmad.advice.select import SHOWN, Selection, select
from vmad.advice.situation import PatternCount, Situation
from vmad.model.program import Program

GLIBC = recognised(Program.GLIBC, (2, 36))


def names(selection: Selection) -> list[str]:
    return [chosen.advice.name for chosen in selection.best]


def why_not(selection: Selection, name: str) -> str:
    return next(each.why for each in selection.others if each.advice.name == name)


def test_one_arena_is_advised_before_anything_for_heaps_of_arenas() -> None:
    best = select(situation(Pattern.ARENA_HEAPS, (GLIBC,))).best

    assert best[0].advice.name == "glibc-arena-max"
    assert "MALLOC_ARENA_MAX=1" in best[0].advice.text


def test_the_threshold_is_advised_for_blocks_that_realloc_moves() -> None:
    for pattern in (Pattern.BLOCKS_APART, Pattern.MOVED):
        best = select(situation(pattern, (GLIBC,))).best

        assert best[0].advice.name == "glibc-mmap-threshold"
        assert "32 MiB" not in best[0].advice.text


def test_small_blocks_are_not_those_above_the_threshold() -> None:
    selection = select(situation(Pattern.BLOCKS_APART, (GLIBC,), size=64 << 10))

    assert "glibc-mmap-threshold" not in names(selection)
    assert "smaller than what malloc maps" in why_not(selection, "glibc-mmap-threshold")


@pytest.mark.parametrize("rules", ["patched-kernel", "rebuild"])
@pytest.mark.parametrize("pattern", [Pattern.MOVED, Pattern.WRITTEN_APART])
def test_no_patched_kernel_and_no_rebuild_where_nothing_is_recoverable(
    rules: str, pattern: Pattern
) -> None:
    nothing = select(situation(pattern, gain=0))
    much = select(situation(pattern, gain=VMAS // 2))

    assert rules not in names(nothing)
    assert why_not(nothing, rules) == "it would recover nothing here"
    assert rules in names(much) or why_not(much, rules) == "others come first"


@pytest.mark.parametrize("pattern", [Pattern.BLOCKS_APART, Pattern.HOLES, Pattern.THREAD_GUARDS])
def test_what_is_no_pair_gets_nothing_about_merging(pattern: Pattern) -> None:
    shown = names(select(situation(pattern, (GLIBC,), gain=VMAS)))

    assert not {"patched-kernel", "rebuild", "write-in-order"} & set(shown)


def test_guard_regions_are_no_advice_for_reservations_of_gigabytes() -> None:
    for programs in ((), (recognised(Program.NODE),), (recognised(Program.WASMTIME),)):
        assert "guard-install" not in names(select(situation(Pattern.WASM_RESERVATIONS, programs)))


def test_different_files_get_no_order_of_offsets() -> None:
    assert names(select(situation(Pattern.MANY_OBJECTS)))[0] == "fewer-files"
    assert "shared-direction" not in names(select(situation(Pattern.MANY_OBJECTS)))
    assert "shared-direction" not in names(select(situation(Pattern.OBJECT_IN_PIECES)))
    assert "shared-direction" in names(select(situation(Pattern.OBJECT_REVERSED)))


def test_advice_on_posix_madvise_is_for_what_was_split() -> None:
    for pattern in (Pattern.MANY_OBJECTS, Pattern.OBJECT_IN_PIECES, Pattern.DELETED_FILES):
        assert "no-advice-per-buffer" not in names(select(situation(pattern)))
    assert names(select(situation(Pattern.OBJECT_SPLIT)))[0] == "no-advice-per-buffer"


def test_an_option_is_not_advised_to_a_version_without_it() -> None:
    old, new = (recognised(Program.MIMALLOC, version) for version in ((2, 0), (3, 4)))

    assert "mimalloc-commit-at-once" in names(select(situation(Pattern.WRITTEN_APART, (old,))))
    selection = select(situation(Pattern.WRITTEN_APART, (new,)))
    assert "mimalloc-commit-at-once" not in names(selection)
    assert "outside of the versions" in why_not(selection, "mimalloc-commit-at-once")


def test_a_newer_glibc_is_advised_where_it_is_old_and_makes_the_stacks() -> None:
    stacks = Pattern.THREAD_GUARDS

    assert names(select(situation(stacks, (GLIBC,))))[0] == "glibc-2.42"
    newer = recognised(Program.GLIBC, (2, 43))
    assert "glibc-2.42" not in names(select(situation(stacks, (newer,))))
    java = recognised(Program.HOTSPOT, (21,))
    shown = names(select(situation(stacks, (GLIBC, java))))
    assert shown[0] == "virtual-threads"
    assert "glibc-2.42" not in shown


def test_go_gets_its_own_advice_and_not_that_of_an_allocator() -> None:
    go = recognised(Program.GO, (1, 19, 8))
    shown = names(select(situation(Pattern.ADVISED, (go,), reasons=("vm_flags:hg",))))

    assert shown[0] == "go-1.21.4"
    assert not any("jemalloc" in name for name in shown)
    new = recognised(Program.GO, (1, 27, 3))
    assert "go-1.21.4" not in names(select(situation(Pattern.ADVISED, (new,))))


def test_zgc_hangs_on_pieces_of_shared_memory() -> None:
    zgc = (recognised(Program.HOTSPOT, (17,)), recognised(Program.ZGC, (17,)))

    assert names(select(situation(Pattern.OBJECT_IN_PIECES, zgc)))[0] == "zgc-limit"
    assert "zgc-limit" not in names(select(situation(Pattern.WRITTEN_APART, zgc)))
    assert "smaller -Xmx does not" in select(
        situation(Pattern.OBJECT_IN_PIECES, zgc)
    ).best[0].advice.text.replace("\n", " ").replace("A smaller", "smaller")  # fmt: skip


def test_a_program_with_options_of_its_own_is_served_first() -> None:
    wanted = {
        (Program.NUMPY, Pattern.ADVISED): "numpy-hugepage",
        (Program.WASMTIME, Pattern.WASM_RESERVATIONS): "wasmtime-reservation",
        (Program.MARIADB, Pattern.THREAD_GUARDS): "mariadb-pool",
        (Program.HOTSPOT, Pattern.THREAD_GUARDS): "virtual-threads",
        (Program.KAFKA, Pattern.MANY_OBJECTS): "kafka-segments",
        (Program.RUBY, Pattern.COROUTINE_GUARDS): "ruby-fibers",
        (Program.PHP, Pattern.COROUTINE_GUARDS): "php-fibers",
        (Program.LUCENE, Pattern.DELETED_FILES): "lucene-permits",
        (Program.JEMALLOC, Pattern.HOLES): "jemalloc-retain",
    }
    for (program, pattern), name in wanted.items():
        assert names(select(situation(pattern, (GLIBC, recognised(program)))))[0] == name

    node = (recognised(Program.NODE), recognised(Program.V8), GLIBC)
    assert "v8-heap" in names(select(situation(Pattern.BLOCKS_APART, node)))
    assert "glibc-mmap-threshold" not in names(select(situation(Pattern.BLOCKS_APART, node)))


def test_pytorch_is_promised_nothing_of_its_strategies() -> None:
    torch = (recognised(Program.PYTORCH), GLIBC)
    best = select(situation(Pattern.MANY_SEGMENTS, torch)).best[0].advice

    assert best.name == "pytorch-fewer-tensors"
    assert "set_sharing_strategy" not in best.text


def test_nothing_of_jemallocs_thp_option_is_left() -> None:
    selection = select(situation(Pattern.ADVISED, (recognised(Program.JEMALLOC),)))

    everything = [*(each.advice for each in selection.best), *(o.advice for o in selection.others)]
    assert not any("thp:" in advice.text for advice in everything)


def test_registered_memory_is_given_back_before_anything_else() -> None:
    best = select(situation(Pattern.FORK_ADVISED, reasons=("vm_flags:dc",))).best[0].advice

    assert "MADV_DOFORK" in best.text
    assert "ibv_fork_init" in best.text


def test_no_more_than_three_are_shown_and_the_largest_pattern_comes_first() -> None:
    counts = (
        PatternCount(Pattern.THREAD_GUARDS, 6000),
        PatternCount(Pattern.HOLES, 3000),
        PatternCount(Pattern.DELETED_FILES, 20),
    )
    best = select(Situation(counts, (GLIBC,), (6, 18), {}, 9020)).best

    assert len(best) == SHOWN
    assert [each.pattern.pattern for each in best] == [
        Pattern.THREAD_GUARDS, Pattern.THREAD_GUARDS, Pattern.HOLES,
    ]  # fmt: skip


def test_every_record_is_either_chosen_or_told_why_not() -> None:
    selection = select(situation(Pattern.HOLES))
    told = [*names(selection), *(each.advice.name for each in selection.others)]

    assert len(told) == len(set(told))
    assert all(each.why for each in selection.others)


def test_blocks_of_round_sizes_are_no_blocks_of_malloc() -> None:
    def first(share: float) -> str:
        counts = (PatternCount(Pattern.WRITTEN_APART, VMAS, {}, 2 << 20, VMAS, share),)
        gain = {"stock": 0, "relaxed": VMAS, "rebuild": VMAS}
        return names(select(Situation(counts, (GLIBC,), (6, 18), gain, VMAS)))[0]

    assert first(1 / 16) == "glibc-mmap-threshold"
    assert first(1.0) != "glibc-mmap-threshold"


def test_what_was_written_apart_before_a_fork_stays_apart_after_it() -> None:
    apart = select(situation(Pattern.FORKED, reasons=("anon_vma_shared",)))
    together = select(situation(Pattern.FORKED, reasons=("anon_vma_chain_not_singular",)))

    assert names(apart)[:2] == ["protect-whole-first", "write-in-order"]
    assert names(together)[0] == "spawn"
    assert "protect-whole-first" not in names(together)


def test_memory_objects_are_told_apart_from_files() -> None:
    assert names(select(situation(Pattern.MANY_SEGMENTS)))[0] == "fewer-segments"
    assert names(select(situation(Pattern.KERNEL_RINGS)))[0] == "fewer-rings"
    assert names(select(situation(Pattern.MANY_LIBRARIES)))[0] == "fewer-libraries"


def test_holes_that_realloc_left_are_told_as_what_it_moved() -> None:
    holes = PatternCount(Pattern.HOLES, 1096, {}, 106_496, None, 1 / 20)
    moved = PatternCount(Pattern.MOVED, 891, {"vm_pgoff": 3}, 163_840, None, 1 / 20)
    gawk = Situation((holes, moved), (GLIBC,), (6, 18), {"stock": 0}, 2060)
    unmapped = Situation((holes,), (GLIBC,), (6, 18), {"stock": 0}, 1200)

    assert names(select(gawk))[0] == "glibc-mmap-threshold"
    assert "mremap moved away" in why_not(select(gawk), "purge-with-madvise")
    assert names(select(unmapped)) == ["purge-with-madvise"]


def test_what_joins_few_of_them_comes_after_what_keeps_all_from_coming_apart() -> None:
    def shown(gain: int) -> list[str]:
        return names(select(situation(Pattern.MOVED, gain=gain)))

    assert shown(VMAS)[0] == "rebuild"
    assert shown(VMAS // 3)[:2] == ["no-mremap", "rebuild"]


def test_memory_that_jemalloc_gives_back_by_its_rights_is_answered_by_the_commit_policy() -> None:
    jemalloc = (GLIBC, recognised(Program.JEMALLOC))

    for pattern in (Pattern.OPENED_RESERVE, Pattern.ALLOCATOR_GUARDS):
        assert names(select(situation(pattern, jemalloc)))[0] == "jemalloc-overcommit"


def test_another_runtime_is_nobodys_first_advice() -> None:
    for program in (Program.NODE, Program.DENO):
        runs = (recognised(program), recognised(Program.V8), GLIBC)

        assert names(select(situation(Pattern.BLOCKS_APART, runs)))[0] == "v8-heap"


def test_stacks_that_a_runtime_guards_are_not_its_users_to_guard() -> None:
    for program in (Program.HOTSPOT, Program.DOTNET):
        shown = names(select(situation(Pattern.THREAD_GUARDS, (GLIBC, recognised(program)))))

        assert "guard-install" not in shown


def test_a_pool_of_threads_is_promised_to_mariadb_alone() -> None:
    mysql = names(select(situation(Pattern.THREAD_GUARDS, (GLIBC, recognised(Program.MYSQL)))))

    assert mysql[0] == "mysql-connections"
    assert "mariadb-pool" not in mysql


def test_a_version_that_is_not_known_is_said_to_be_so() -> None:
    best = select(situation(Pattern.THREAD_GUARDS, (recognised(Program.GLIBC),))).best

    assert best[0].advice.name == "glibc-2.42"
    assert best[0].why.endswith("it runs glibc of a version that is not known")


def test_each_of_several_runtimes_is_served_for_its_pattern_and_the_largest_first() -> None:
    runs = (GLIBC, recognised(Program.HOTSPOT, (21,)), recognised(Program.NUMPY))
    counts = (
        PatternCount(Pattern.THREAD_GUARDS, 6000),
        PatternCount(Pattern.ADVISED, 3000, {"vm_flags:hg": 3000}),
    )
    best = select(Situation(counts, runs, (6, 18), {}, 9000)).best

    assert best[0].advice.name == "virtual-threads"
    assert "numpy-hugepage" in [chosen.advice.name for chosen in best]


def test_what_a_browser_lays_out_is_its_makers() -> None:
    chromium = (GLIBC, recognised(Program.CHROMIUM), recognised(Program.V8))

    for pattern in (Pattern.BLOCKS_APART, Pattern.ALLOCATOR_GUARDS, Pattern.OPENED_RESERVE):
        assert names(select(situation(pattern, chromium)))[0] == "chromium-limit"


@pytest.mark.parametrize("pattern", [Pattern.THREAD_GUARDS, Pattern.COROUTINE_GUARDS])
def test_guard_regions_are_for_kernels_that_have_them(pattern: Pattern) -> None:
    old = select(situation(pattern, (GLIBC,), kernel=(6, 12)))
    new = select(situation(pattern, (GLIBC,), kernel=(6, 13)))

    assert not {"guard-install", "glibc-2.42"} & set(names(old))
    assert why_not(old, "guard-install") == "it needs Linux 6.13"
    assert "pool-stacks" in names(old)
    assert "guard-install" in names(new)


def test_virtual_threads_are_for_versions_of_java_that_have_them() -> None:
    def shown(version: int) -> list[str]:
        java = recognised(Program.HOTSPOT, (version,))
        return names(select(situation(Pattern.THREAD_GUARDS, (GLIBC, java))))

    assert shown(17)[0] == "jdk-21"
    assert "virtual-threads" not in shown(17)
    assert shown(21)[0] == "virtual-threads"
    assert "jdk-21" not in shown(21)


def test_a_sanitizer_has_an_allocator_and_reservations_of_its_own() -> None:
    asan = (GLIBC, recognised(Program.SANITIZER))

    for pattern in (Pattern.HOLES, Pattern.BLOCKS_APART, Pattern.WASM_RESERVATIONS):
        shown = names(select(situation(pattern, asan)))

        assert shown[0] == "sanitizer-limit"
        assert not {"glibc-mmap-threshold", "wasm-fewer-memories"} & set(shown)
