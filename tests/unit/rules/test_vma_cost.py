# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A VMA costs what the structures of its kernel take; what is not known is not 0."""

from __future__ import annotations

from vmad.rules.vma_cost import VmaCost, cost_of

#: slab_size on Debian's kernels for amd64
KERNEL_5_10 = {"vm_area_struct": 200, "anon_vma": 104, "anon_vma_chain": 64}
KERNEL_6_12 = KERNEL_5_10 | {"vm_area_struct": 176, "vma_lock": 40, "maple_node": 256}
KERNEL_7_3 = KERNEL_5_10 | {"vm_area_struct": 192, "anon_vma": 96, "maple_node": 256}


def test_the_lock_of_6_12_counts_with_its_vma() -> None:
    assert cost_of(KERNEL_6_12) == VmaCost(216, 32, 168)


def test_before_6_1_there_is_no_maple_tree() -> None:
    assert cost_of(KERNEL_5_10) == VmaCost(200, 0, 168)


def test_7_3_has_a_smaller_anon_vma() -> None:
    cost = cost_of(KERNEL_7_3)
    assert cost is not None
    assert (cost.each, cost.written) == (224, 384)


def test_an_unknown_anon_vma_leaves_the_written_cost_unknown() -> None:
    cost = cost_of({"vm_area_struct": 192, "maple_node": 256})
    assert cost is not None
    assert (cost.each, cost.written) == (224, None)


def test_without_vm_area_struct_nothing_is_known() -> None:
    assert cost_of({"anon_vma": 104}) is None
