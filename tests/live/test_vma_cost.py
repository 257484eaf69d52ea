# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The cost of a VMA is what the kernel's slabs say, and the same by its types alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmad.sources.vma_cost import read_vma_cost

pytestmark = pytest.mark.bpf  # the types need a kernel with BTF, the slabs root


def test_slabs_and_types_say_the_same() -> None:
    by_slabs = read_vma_cost(btf="/nowhere")
    by_types = read_vma_cost(proc="/nowhere", sys="/nowhere")

    assert by_slabs is not None
    assert by_slabs == by_types
    each = Path("/sys/kernel/slab/vm_area_struct/slab_size").read_text()
    assert by_slabs.vma >= int(each)


def test_slabinfo_serves_where_there_is_no_sysfs() -> None:
    assert read_vma_cost(sys="/nowhere") == read_vma_cost()


def test_a_kernel_that_tells_nothing_leaves_it_unknown() -> None:
    assert read_vma_cost("/nowhere", "/nowhere", "/nowhere") is None


def test_types_that_are_cut_off_leave_it_unknown(tmp_path: Path) -> None:
    whole = Path("/sys/kernel/btf/vmlinux").read_bytes()
    (tmp_path / "types").write_bytes(whole[: len(whole) // 2])
    assert read_vma_cost("/nowhere", "/nowhere", str(tmp_path / "types")) is None
