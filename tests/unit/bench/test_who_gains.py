# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said of a program that was counted on three kernels."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vm.who_gains import grown, shared_share, table

COUNTING = {"refused_anon_vma_off": 6, "refused_vm_pgoff_shared": 2, "refused_vm_flags": 90}
ON = {"merged_stock": 5, "merged_anon_vma": 3, "merged_pgoff": 1, "refused_limit": 4}
FOUND: dict[str, dict[str, Any]] = {
    "stock": {"lists": {"vmas": 1345, "predicted": 557, "rebuilt": 790}},
    "counting": {"lists": {"vmas": 1345, "attempts": COUNTING}},
    "on": {"lists": {"vmas": 800, "attempts": ON}, "java": {"not_measured": "it ended"}},
}


def test_only_what_rose_while_the_program_ran_counts_most_first() -> None:
    before = {("merged", "stock"): 7, ("refused", "limit"): 1, ("refused", "vm_flags"): 2}
    after = {("merged", "stock"): 8, ("refused", "limit"): 1, ("refused", "vm_flags"): 9}
    assert list(grown(before, after).items()) == [("refused_vm_flags", 7), ("merged_stock", 1)]


def test_shared_is_a_part_of_what_the_series_could_heal() -> None:
    assert shared_share(COUNTING) == pytest.approx(0.25)


def test_nothing_to_heal_has_no_shared_part() -> None:
    assert shared_share({"refused_vm_flags": 90}) is None


def test_a_program_is_one_row_and_what_is_missing_is_a_dash() -> None:
    assert table(FOUND).splitlines()[2:] == [
        "| lists | 1,345 | 557 | 800 | 790 | 4 | 25% | limit 4 |",
        "| java | - | - | - | - | 0 | - | - |",
    ]
