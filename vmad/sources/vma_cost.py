# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a VMA costs on the running kernel: sizes of its slab caches, else of its structures by BTF.

/sys/kernel/slab and /proc/slabinfo are for root alone; BTF anybody may read, which takes 0.2 s.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmad.rules.vma_cost import STRUCTURES, VmaCost, cost_of
from vmad.sources.bpf.refusals import BTF_PATH

#: Caches with a constructor, or whose objects readers may still see (SLAB_TYPESAFE_BY_RCU), keep
#: the pointer to the next free object behind the object (mm/slub.c, calculate_sizes)
_FREE_POINTER = {"anon_vma": 8}


def read_vma_cost(proc: str = "/proc", sys: str = "/sys", btf: str = BTF_PATH) -> VmaCost | None:
    """None where the kernel tells nothing: no right to see slabs and no BTF."""
    sizes = _slab_sizes(sys) or _slabinfo_sizes(proc)
    if not sizes.keys() >= set(STRUCTURES) - {"vma_lock", "maple_node"}:
        sizes = _btf_sizes(btf) | sizes
    return cost_of(sizes)


def as_slabs(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes of structures as their slab caches have them."""
    return {name: size + _FREE_POINTER.get(name, 0) for name, size in sizes.items()}


def _slab_sizes(sys: str) -> dict[str, int]:
    """SLUB's caches; those that were merged with others are links, which slabinfo does not name."""
    sizes = {}
    for name in STRUCTURES:
        try:
            with open(f"{sys}/kernel/slab/{name}/slab_size", encoding="ascii") as file:
                sizes[name] = int(file.read())
        except (OSError, ValueError):  # for root alone, or a kernel without this cache
            continue
    return sizes


def _slabinfo_sizes(proc: str) -> dict[str, int]:
    """The same of SLAB, which up to 6.7 some kernels have instead of SLUB: slabinfo(5)."""
    sizes = {}
    try:
        with open(f"{proc}/slabinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                name, *numbers = line.split()[:4]
                if name in STRUCTURES and len(numbers) == 3:
                    sizes[name] = int(numbers[2])
    except (OSError, ValueError):
        return {}
    return sizes


def _btf_sizes(path: str) -> dict[str, int]:
    from vmad.sources.guest.btf import BadBtf, structure_sizes  # noqa: PLC0415  who may see slabs

    try:
        with open(path, "rb") as file:
            return as_slabs(structure_sizes(file.read(), STRUCTURES))
    except (OSError, BadBtf):
        return {}
