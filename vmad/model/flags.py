# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VmFlags: the two-letter codes of smaps, their kernel bits by release, one canonical numbering.

The low 32 bits of vm_flags have kept their meaning since 5.10 (include/linux/mm.h), with two
exceptions given below; the bits above moved from release to release. Facts need one numbering
for all kernels, so flags above bit 31 are folded into low positions that cannot differ between
two private anonymous VMAs (sh, ms, ht, sf) or that the fact SPECIAL already covers (pf, io, de,
mm).
"""

from __future__ import annotations

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 1, 2, 4, 8
#: VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP: never merged (include/linux/mm.h)
VM_SPECIAL = 1 << 14 | 1 << 18 | 1 << 10 | 1 << 28

ACCESS = VM_READ | VM_WRITE | VM_EXEC
ACCOUNT = 1 << 20
SOFTDIRTY = 1 << 27
#: VM_MAYBE_GUARD (6.19, 5dba5cc2e0ff; stable 6.18.37); until 5.14 bit 11 was VM_DENYWRITE
GUARD = 1 << 11

#: code of each raw bit below 32 as smaps prints it (fs/proc/task_mmu.c, show_smap_vma_flags)
LOW_CODES: dict[int, str] = {
    0: "rd", 1: "wr", 2: "ex", 3: "sh", 4: "mr", 5: "mw", 6: "me", 7: "ms", 8: "gd", 9: "um",
    10: "pf", 11: "gu", 12: "uw", 13: "lo", 14: "io", 15: "sr", 16: "rr", 17: "dc", 18: "de",
    19: "lf", 20: "ac", 21: "nr", 22: "ht", 23: "sf", 24: "ar", 25: "wf", 26: "dd", 27: "sd",
    28: "mm", 29: "hg", 30: "nh", 31: "mg",
}  # fmt: skip

#: canonical bit of each flag that the kernel keeps above bit 31
HIGH_CODES: dict[str, int] = {
    "sl": 3, "dp": 7, "ss": 10, "ui": 14, "ur": 18, "pkey": 22, "??": 23, "mt": 28,
}  # fmt: skip

#: raw low bits that carry over to the canonical numbering unchanged
LOW_MASK = 0xFFFF_FFFF & ~sum(1 << bit for bit in HIGH_CODES.values())

#: canonical bit -> code as it appears in reasons ("vm_flags:hg")
CANONICAL_CODES: dict[int, str] = {
    **{bit: code for bit, code in LOW_CODES.items() if LOW_MASK >> bit & 1},
    **{bit: code for code, bit in HIGH_CODES.items()},
}


def high_masks(release: tuple[int, int], machine: str = "x86_64") -> dict[str, int]:
    """Raw mask of each flag above bit 31 on a kernel release, by code; absent where it is not.

    Sources: include/linux/mm.h of 5.10, 5.17, 6.1, 6.6, 6.12, 6.18, 7.3. On x86 pkeys are bits
    32..35 (VM_PKEY_SHIFT = VM_HIGH_ARCH_BIT_0); arm64 uses 32/33 for MTE until 6.6 and 36/37
    from 6.12.
    """
    masks: dict[str, int] = {}
    x86 = machine in ("x86_64", "i686")
    if x86:
        masks["pkey"] = 0xF << 32
    if release >= (5, 13):
        masks["ui"] = 1 << (41 if release >= (6, 13) else 38 if release >= (6, 6) else 37)
    if x86 and release >= (6, 6):
        masks["ss"] = 1 << 37
    if release >= (6, 11):
        masks["dp"] = 1 << 40
    if release >= (6, 10):
        masks["sl"] = 1 << (42 if release >= (6, 16) else 63)
    if release >= (7, 0):
        masks["ur"] = 1 << 43
    if machine == "aarch64":
        masks["mt"] = 3 << (36 if release >= (6, 12) else 32)
    return masks


def canonical(raw: int, masks: dict[str, int]) -> int:
    """Raw vm_flags (or the XOR of two) in the canonical 32-bit numbering.

    ``masks`` is what :func:`high_masks` gives for the kernel that the flags come from. Bits
    above 31 that it does not know become "??".
    """
    result = raw & LOW_MASK
    high = raw >> 32 << 32
    for code, mask in masks.items():
        if high & mask:
            result |= 1 << HIGH_CODES[code]
            high &= ~mask
    if high:
        result |= 1 << HIGH_CODES["??"]
    return result
