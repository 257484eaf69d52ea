# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rules of a kernel as one value: made once for each kernel, however often it is asked."""

from __future__ import annotations

from vmad.model.kernel import KernelInfo
from vmad.rules.kernel_rules import KernelRules


def test_rules_of_a_kernel_are_made_once() -> None:
    assert KernelRules.of(KernelInfo("6.12.9", page_shift=12)) is KernelRules.of(
        KernelInfo("6.12.9", page_shift=12)
    )


def test_rules_of_other_kernels_are_others() -> None:
    switched_off, switched_on = (
        KernelInfo("6.12.9", "x86_64", True, mask, page_shift=12) for mask in (0, 7)
    )

    assert KernelRules.of(switched_off).stock.kernel.merge_switch == 0
    assert KernelRules.of(switched_on).stock.kernel.merge_switch == 7
