# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a VMA costs in kernel memory, from the sizes that the running kernel has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: the kernel's structures that a VMA is made of, by the names of their slab caches; vma_lock is one
#: of its own in 6.4 to 6.14 (c7f8f31c00d1 to 3104138517fc), maple_node came with 6.1
STRUCTURES = ("vm_area_struct", "vma_lock", "anon_vma", "anon_vma_chain", "maple_node")

#: VMAs per maple node: seen were 5 (mapped downwards, with holes) to 12 (one area cut by mprotect)
VMAS_PER_NODE = 8


@dataclass(frozen=True, slots=True)
class VmaCost:
    """Bytes of kernel memory. ``anon`` is None where the kernel does not tell it."""

    vma: int  #: vm_area_struct, with its lock where that is apart
    maple: int  #: its share of a node of the maple tree; 0 before 6.1
    anon: int | None  #: anon_vma and anon_vma_chain, once it is written to on its own

    @property
    def each(self) -> int:
        """Of a VMA that was never written to, or that shares its anon_vma."""
        return self.vma + self.maple

    @property
    def written(self) -> int | None:
        """Of one that has an anon_vma of its own."""
        return None if self.anon is None else self.each + self.anon


#: Linux 6.18 on x86-64: for documents alone
TYPICAL = VmaCost(192, 32, 168)


def cost_of(sizes: Mapping[str, int]) -> VmaCost | None:
    """From bytes by name of :data:`STRUCTURES`; None without vm_area_struct."""
    vma = sizes.get("vm_area_struct")
    if vma is None:
        return None
    anon = None
    if "anon_vma" in sizes and "anon_vma_chain" in sizes:
        anon = sizes["anon_vma"] + sizes["anon_vma_chain"]
    share = sizes.get("maple_node", 0) // VMAS_PER_NODE
    return VmaCost(vma + sizes.get("vma_lock", 0), share, anon)
