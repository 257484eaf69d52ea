# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a VMA costs in kernel memory, whatever it maps."""

from __future__ import annotations

from vmad.model.kernel import KernelInfo
from vmad.rules.limit import BYTES_MAPLE_SHARE, BYTES_PER_STRUCT


def vma_kernel_bytes(kernel: KernelInfo) -> int:
    """Bytes that each VMA takes at least: its struct and its share of the tree that holds it.

    An anon_vma of its own, page tables and the pages themselves come on top. The same on every
    ``kernel`` so far.
    """
    return BYTES_PER_STRUCT + BYTES_MAPLE_SHARE
