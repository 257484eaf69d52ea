# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VmFlags: the two-letter codes of smaps, their kernel bits by release, one canonical numbering.

The low 32 bits of vm_flags have kept their meaning since 5.10 (include/linux/mm.h), with two
exceptions given below; the bits above moved from release to release. Facts need one numbering
for all kernels, so flags above bit 31 are folded into low positions that cannot differ between
two private anonymous VMAs (sh, ms, ht, sf, mr) or that the fact SPECIAL already covers (pf, io,
de, mm).
"""

from __future__ import annotations

from collections.abc import Mapping

from vmad.architecture.common_flags import common_flags
from vmad.architecture.known import architecture_of

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 1, 2, 4, 8
#: VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP: never merged (include/linux/mm.h)
VM_SPECIAL = 1 << 14 | 1 << 18 | 1 << 10 | 1 << 28

#: grows towards lower addresses when it is touched below
VM_GROWSDOWN = 1 << 8

ACCESS = VM_READ | VM_WRITE | VM_EXEC
ACCOUNT = 1 << 20
SOFTDIRTY = 1 << 27
#: VM_MAYBE_GUARD (6.19, 5dba5cc2e0ff; stable 6.18.37); until 5.14 bit 11 was VM_DENYWRITE
GUARD = 1 << 11

#: VM_ARCH_1: each architecture's own
ARCHITECTURE_BIT = 24

#: code of each raw bit below 32 as smaps prints it (fs/proc/task_mmu.c, show_smap_vma_flags)
LOW_CODES: dict[int, str] = {
    0: "rd", 1: "wr", 2: "ex", 3: "sh", 4: "mr", 5: "mw", 6: "me", 7: "ms", 8: "gd", 9: "um",
    10: "pf", 11: "gu", 12: "uw", 13: "lo", 14: "io", 15: "sr", 16: "rr", 17: "dc", 18: "de",
    19: "lf", 20: "ac", 21: "nr", 22: "ht", 23: "sf", 24: "ar", 25: "wf", 26: "dd", 27: "sd",
    28: "mm", 29: "hg", 30: "nh", 31: "mg",
}  # fmt: skip

#: canonical bit of each flag that the kernel keeps above bit 31
HIGH_CODES: dict[str, int] = {
    "sl": 3, "mt_allowed": 4, "dp": 7, "ss": 10, "ui": 14, "ur": 18, "pkey": 22, "??": 23,
    "mt": 28,
}  # fmt: skip

#: VM_MAYREAD: a private mapping without it cannot be made (mm/mmap.c, do_mmap: FMODE_READ)
VM_MAYREAD = 1 << 4

#: raw low bits that carry over to the canonical numbering unchanged
LOW_MASK = 0xFFFF_FFFF & ~sum(1 << bit for bit in HIGH_CODES.values())

#: canonical bit -> code as it appears in reasons ("vm_flags:hg")
CANONICAL_CODES: dict[int, str] = {
    **{bit: code for bit, code in LOW_CODES.items() if LOW_MASK >> bit & 1},
    **{bit: code for code, bit in HIGH_CODES.items()},
}


def canonical_codes(machine: str) -> dict[int, str]:
    """Canonical bit -> code, as smaps prints it on a machine (as uname(2) names it)."""
    architecture = architecture_of(machine)
    if architecture is None:
        return CANONICAL_CODES
    return {**CANONICAL_CODES, ARCHITECTURE_BIT: architecture.flag_24}


def high_masks(release: tuple[int, int], machine: str) -> dict[str, int]:
    """Raw mask of each flag above bit 31 on a kernel release, by code; absent where it is not.

    Of a machine that is not known here, only the flags that all have: its own become "??".
    """
    architecture = architecture_of(machine)
    return (common_flags if architecture is None else architecture.high_flags)(release)


def canonical(raw: int, masks: Mapping[str, int]) -> int:
    """Raw vm_flags (or the XOR of two) in the canonical 32-bit numbering.

    ``masks`` is what :func:`high_masks` gives for the kernel that the flags come from. Bits
    above 31 that it does not know become "??", and so does a VM_MAYREAD, whose place is taken.
    """
    result = raw & LOW_MASK
    if raw & VM_MAYREAD:
        result |= 1 << HIGH_CODES["??"]
    high = raw >> 32 << 32
    for code, mask in masks.items():
        if high & mask:
            result |= 1 << HIGH_CODES[code]
            high &= ~mask
    if high:
        result |= 1 << HIGH_CODES["??"]
    return result
