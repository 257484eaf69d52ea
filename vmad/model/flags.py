# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VmFlags as numbers: raw bits by release, and one canonical numbering for facts.

The low 32 bits of vm_flags have kept their meaning since 5.10 (include/linux/mm.h), with few
exceptions; the bits above moved from release to release. Facts need one numbering for all kernels,
so flags above bit 31 are folded into low positions that cannot differ between two private
anonymous VMAs (sh, ms, ht, sf, mr) or that the fact SPECIAL already covers (pf, io, de, mm). Which
flag is where: vmad/model/kernel_flags.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from vmad.architecture.known import architecture_of
from vmad.model.kernel_flags import KERNEL_FLAGS

_LOW = 0xFFFF_FFFF


def _low(*codes: str) -> int:
    """The raw mask of flags that every kernel keeps below bit 32."""
    return sum(
        place.mask for flag in KERNEL_FLAGS if flag.code in codes for place in flag.places[:1]
    )


VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = _low("rd"), _low("wr"), _low("ex"), _low("sh")
#: VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP: never merged (include/linux/mm.h)
VM_SPECIAL = _low("io", "de", "pf", "mm")
VM_MAYREAD = _low("mr")
#: VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
MAY = _low("mr", "mw", "me")

#: grows towards lower addresses when it is touched below
VM_GROWSDOWN = _low("gd")
VM_LOCKED, VM_LOCKONFAULT = _low("lo"), _low("lf")
VM_SEQ_READ, VM_RAND_READ, VM_DONTDUMP = _low("sr"), _low("rr"), _low("dd")

ACCESS = VM_READ | VM_WRITE | VM_EXEC
ACCOUNT = _low("ac")
NORESERVE = _low("nr")
SOFTDIRTY = _low("sd")
GUARD = _low("gu")
#: registered with a userfaultfd, for missing pages or for writes
UFFD = _low("um", "uw")

#: raw mask of a flag below bit 32 -> the advice of madvise that sets it
BY_ADVICE: dict[int, int] = {
    _low(flag.code): flag.madvise.number for flag in KERNEL_FLAGS if flag.madvise is not None
}

#: canonical bit of each flag that the kernel keeps above bit 31
HIGH_CODES: dict[str, int] = {
    flag.code: flag.canonical for flag in KERNEL_FLAGS if flag.canonical is not None
}

#: raw low bits that carry over to the canonical numbering unchanged
LOW_MASK = _LOW & ~sum(1 << bit for bit in set(HIGH_CODES.values()))


@cache
def canonical_codes(machine: str) -> Mapping[int, str]:
    """Canonical bit -> code as it appears in reasons ("vm_flags:hg"), on a machine.

    ``machine`` is as uname(2) names it. A bit that is no flag's there has another machine's.
    """
    architecture = architecture_of(machine)
    ranked: dict[int, list[tuple[int, str]]] = {}
    for flag in KERNEL_FLAGS:
        bit = flag.places[0].bit if flag.canonical is None else flag.canonical
        if flag.canonical is None and not LOW_MASK >> bit & 1:
            continue
        on = [place.on for place in flag.places]
        rank = 2 if architecture and architecture in on else 1 if None in on or not on else 0
        ranked.setdefault(bit, []).append((rank, flag.code))
    return {bit: max(codes)[1] for bit, codes in ranked.items()}


#: those of a machine that is not known here
CANONICAL_CODES = canonical_codes("")


@cache
def flag_masks(release: tuple[int, int], machine: str) -> Mapping[str, int]:
    """Raw mask of each flag that a kernel release has, by code; those below bit 32 first.

    Of a machine that is not known here, only the flags that all have: its own become "??".
    """
    architecture = architecture_of(machine)
    places = {
        flag.code: place
        for flag in KERNEL_FLAGS
        if (place := flag.place(release, architecture)) is not None
    }
    own = {place.mask for place in places.values() if place.on is not None}
    return {
        code: place.mask
        for code, place in sorted(places.items(), key=lambda item: item[1].bit)
        if place.on is not None or place.mask not in own
    }


@cache
def high_masks(release: tuple[int, int], machine: str) -> Mapping[str, int]:
    """Raw mask of each flag above bit 31 on a kernel release, by code; absent where it is not."""
    return {code: mask for code, mask in flag_masks(release, machine).items() if mask > _LOW}


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
