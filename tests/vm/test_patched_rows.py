# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which layouts the patched kernel merges, by switch, and which it must leave as stock does.

Needs ``vmad lab build`` and ``vmad lab build --stock``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.patched_programs import compiled
from vmad.lab.run import run_in_guest

STOCK, PATCHED = "stock-6.12", "patched-6.12"
#: vm.anon_vma_merge: nothing, each part alone, parts together, counting
MASKS = (0, 1, 2, 3, 4, 6, 7, 8)
#: everything is one VMA with: bit 2 alone; 2 and either way to a page offset; 2 and healing only;
#: any way to a page offset
DIFFER = dict.fromkeys((2, 3, 6, 7), 1)
DIFFER_MOVED = dict.fromkeys((3, 6, 7), 1)
DIFFER_HEALED = dict.fromkeys((6, 7), 1)
MOVED = dict.fromkeys((1, 3, 4, 6, 7), 1)

#: row of rows.c -> VMAs on stock 6.12, and those by mask where a mask makes fewer
ROWS: dict[str, tuple[int, dict[int, int]]] = {
    # one side without an anon_vma: 6.12's rule asks the neighbour, so that one direction works
    "first_written_op_second": (1, {}),
    "first_written_op_first": (2, {}),
    "second_written_op_first": (1, {}),
    "second_written_op_second": (2, {}),
    # different anon_vmas, by every call that attempts a merge
    "both_written_op_second": (2, DIFFER),
    "both_written_op_first": (2, DIFFER),
    "both_written_op_middle": (3, DIFFER),
    "both_written_by_mprotect": (2, DIFFER),
    "both_written_by_mlock": (2, DIFFER),
    "both_written_by_name": (2, DIFFER),
    "both_written_by_mbind": (2, DIFFER),
    "hole_between_written": (2, DIFFER),
    # moved areas: page offset and anon_vma both differ
    "written_moved_behind_written": (2, DIFFER_MOVED),
    "written_moved_before_written": (2, DIFFER_MOVED),
    "written_moved_behind_unwritten": (2, MOVED),
    "unwritten_moved_behind_written": (1, {}),
    "emptied_moved_behind_written": (2, DIFFER_MOVED),
    "moved_between_written": (3, DIFFER_MOVED),
    "half_moved_away_and_back": (1, {}),
    "both_halves_moved_in_order": (1, {}),
    "halves_swapped": (2, MOVED),
    "moved_before_switched_on": (2, DIFFER_HEALED),
    # growing in place up to the next
    "grown_up_to_written": (2, DIFFER),
    "grown_up_to_unwritten": (2, {}),
    # copy_vma() merges none that loses its userfaultfd (6.12.118): no label for that merge, only
    # the natural offset where that is not left to be healed later
    "moved_without_its_userfaultfd": (2, {}),
    "labelled_without_its_userfaultfd": (0, {1: 1, 3: 1}),
    # shared with another process by fork
    "child_maps_beside_inherited": (2, {}),
    "child_splits_and_rejoins": (1, {}),
    "child_joins_two_inherited": (2, {}),
    "child_moves_inherited_behind_inherited": (2, {}),
    "parent_maps_beside_shared": (1, {}),
    "parent_joins_two_shared": (2, {}),
    "parent_moves_shared_behind_shared": (2, {}),
    "own_joins_shared_first": (2, DIFFER),
    "shared_joins_own_first": (2, DIFFER),
    # what was worse than stock once: nothing is left apart that stock would join
    "part_beside_shared_and_back": (2, {}),
    "part_beside_shared_within_the_bound": (2, {}),
    # the bound is one of time, however memory is spread
    "sparse_joins_shared": (2, DIFFER),
    "sparse_joins_shared_beyond_the_bound": (2, {}),
    "rest_of_unwritten_after_switched_off": (3, dict.fromkeys((4, 6, 7), 2)),
    "unwritten_beside_moved_shared": (2, dict.fromkeys((4, 6, 7), 1)),
    "child_joins_own_and_inherited": (2, {}),
    "grown_down_after_a_merge": (2, {}),
    "joined_after_child_died": (2, DIFFER),
    "moved_after_child_died": (2, DIFFER_MOVED),
    # conditions that the series does not touch
    "unwritten_made_inaccessible": (1, {}),
    "written_made_inaccessible": (2, {}),
    "noreserve_beside_normal": (2, {}),
    "no_way_back_from_hugepage": (2, {}),
    "stack_beside_plain": (2, {}),
    "three_under_memory_merge": (3, {}),
    "different_access": (2, {}),
    "different_hint": (2, {}),
}


def counted(kernel: str, program: Path) -> dict[int, dict[str, int]]:
    """VMAs by mask and row, all in one boot."""
    words = " ".join(map(str, MASKS))
    script = f'for mask in {words}; do echo "mask $mask"; "$1" $mask || exit; done'
    done = run_in_guest(kernel, ["sh", "-c", script, "sh", str(program)], timeout=300)
    assert done.status == 0, done.stderr.decode()
    found: dict[int, dict[str, int]] = {}
    mask = -1
    for line in done.stdout.decode().splitlines():
        name, number = line.split()
        if name == "mask":
            mask = int(number)
            found[mask] = {}
        else:
            found[mask][name] = int(number)
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("rows.c", tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def patched(program: Path) -> dict[int, dict[str, int]]:
    return counted(PATCHED, program)


def test_stock_kernel_counts_what_the_table_says(program: Path) -> None:
    found = counted(STOCK, program)
    expected = {name: stock for name, (stock, _) in ROWS.items()}
    assert found == dict.fromkeys(MASKS, expected)


@pytest.mark.parametrize("mask", MASKS)
def test_each_switch_merges_what_it_says_and_nothing_else(
    patched: dict[int, dict[str, int]], mask: int
) -> None:
    expected = {name: by_mask.get(mask, stock) for name, (stock, by_mask) in ROWS.items()}
    assert patched[mask] == expected
