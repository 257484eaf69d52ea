# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Merge attempts are counters of the patched kernel only; a stock kernel's are not known, not 0."""

from __future__ import annotations

from pathlib import Path

from vmad.sources.procfs.merge_counters import merge_attempts, read_merge_attempts

PATCHED = """\
nr_free_pages 100
anon_vma_merge_attempts 12
anon_vma_merge_merged_stock 5
anon_vma_merge_merged_mremap_anon_vma 1
anon_vma_merge_refused_anon_vma_shared 6
anon_vma_merge_repointed_pages 4711
anon_vma_merge_mremap_natural 3
"""


def test_attempts_are_read_by_outcome_and_reason_and_nothing_else_is() -> None:
    assert merge_attempts(PATCHED.splitlines(keepends=True)) == {
        ("merged", "stock"): 5,
        ("merged", "mremap_anon_vma"): 1,
        ("refused", "anon_vma_shared"): 6,
    }


def test_stock_kernel_has_none(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 100\npgfault 3\n")
    assert read_merge_attempts(str(tmp_path)) is None


def test_container_without_vmstat_has_none(tmp_path: Path) -> None:
    assert read_merge_attempts(str(tmp_path)) is None
