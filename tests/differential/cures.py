# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Calls that take away the only reason of a blocked pair: if it then merges, that was the cause."""

from __future__ import annotations

from tests.differential.program import ARENA, PAGE, Kind, Op, Program
from vmad.model import facts as f
from vmad.model.facts import AnonVma

#: where memory goes that a cure moves away
ELSEWHERE = ARENA + (1 << 24)

_MAYMOVE_FIXED, _DONTUNMAP = 3, 4
_WRITE = 2
_SR, _RR, _LO = 1 << 15, 1 << 16, 1 << 13
_UFFD_FLAGS = 1 << 9 | 1 << 12

#: flags that an madvise can set (advice, raw bit) on the side that lacks them
_SETTABLE = {
    "dc": (1 << 17, 10), "dd": (1 << 26, 16), "wf": (1 << 25, 18), "hg": (1 << 29, 14),
    "nh": (1 << 30, 15), "mg": (1 << 31, 12),
}  # fmt: skip
_UFFD_REASONS = {"vm_flags:um", "vm_flags:uw", "vm_userfaultfd_ctx"}

VmaFields = tuple[int, int, int, int, int]  #: start, end, flags, pgoff (pages), an AnonVma


def cure(reasons: tuple[str, ...], facts: int, a: VmaFields, b: VmaFields) -> Program | None:
    """Calls that remove the reasons and nothing else; None where user space cannot.

    Userfaultfd flags and the context they belong to count as one reason.
    """
    if reasons and set(reasons) <= _UFFD_REASONS:
        return tuple(Op(Kind.UFFD_CLOSE, extra=which) for which in range(3))
    if len(reasons) != 1:
        return None
    (reason,) = reasons
    if reason.startswith("vm_flags:"):
        return _flag_cure(reason.removeprefix("vm_flags:"), a, b)
    if reason == "anon_vma_name":  # kernels with CONFIG_ANON_VMA_NAME, which Debian's are not
        return tuple(Op(Kind.NAME, 0, each[0], each[1] - each[0]) for each in (a, b))
    if reason == "mempolicy":
        return tuple(Op(Kind.MBIND, 0, each[0], each[1] - each[0]) for each in (a, b))
    if (a[2] | b[2]) & _UFFD_FLAGS:
        return None  # what is left moves VMAs, and mremap drops a userfaultfd without EVENT_REMAP
    if reason.startswith("anon_vma_"):
        if (a[2] | b[2]) & _LO:
            return None  # MREMAP_DONTUNMAP drops VM_LOCKED as well
        return tuple(_emptied(each) for each in (a, b) if each[4] != AnonVma.NONE)
    if reason in ("vm_pgoff", "vm_pgoff_shared"):
        return _pgoff_cure(facts, a, b)
    return None


def _flag_cure(code: str, a: VmaFields, b: VmaFields) -> Program | None:
    def one(kind: Kind, arg: int, side: VmaFields) -> Program:
        return (Op(kind, arg, side[0], side[1] - side[0]),)

    if code == "access":
        # towards the writable one: taking the right to write away may drop VM_ACCOUNT (6.12)
        from_side, to_side = (a, b) if a[2] & _WRITE else (b, a)
        return one(Kind.MPROTECT, from_side[2] & 7, to_side)
    if code in ("sr", "rr"):
        advice = 2 if a[2] & _SR else 1 if a[2] & _RR else 0
        return one(Kind.MADVISE, advice, b)
    if code in _SETTABLE:
        bit, advice = _SETTABLE[code]
        return one(Kind.MADVISE, advice, b if a[2] & bit else a)
    if code in ("lo", "lf"):
        return one(Kind.MLOCK, 2, a) + one(Kind.MLOCK, 2, b)
    if code == "sl":
        return one(Kind.MSEAL, 0, a) + one(Kind.MSEAL, 0, b)
    return None


def _emptied(side: VmaFields) -> Op:
    """Move the pages away and keep the VMA: it loses its anon_vma (MREMAP_DONTUNMAP, 6.1)."""
    size = side[1] - side[0]
    where = ELSEWHERE + (side[0] - ARENA) * 2
    return Op(Kind.MREMAP, _MAYMOVE_FIXED | _DONTUNMAP, side[0], size, where, size)


def _pgoff_cure(facts: int, a: VmaFields, b: VmaFields) -> Program | None:
    size_a, size_b = a[1] - a[0], b[1] - b[0]
    if b[4] == AnonVma.NONE and a[3] == a[0] // PAGE:
        # moved without an anon_vma: copy_vma gives it the offset of where it is
        return (
            Op(Kind.MREMAP, _MAYMOVE_FIXED, b[0], size_b, ELSEWHERE, size_b),
            Op(Kind.MREMAP, _MAYMOVE_FIXED, ELSEWHERE, size_b, b[0], size_b),
        )
    if not facts & f.AV_SAME or b[3] + size_b // PAGE != a[3]:
        return None
    # halves that were swapped: swap them back through another place
    return (
        Op(Kind.MREMAP, _MAYMOVE_FIXED, a[0], size_a, ELSEWHERE, size_a),
        Op(Kind.MREMAP, _MAYMOVE_FIXED, b[0], size_b, a[0], size_b),
        Op(Kind.MREMAP, _MAYMOVE_FIXED, ELSEWHERE, size_a, a[0] + size_b, size_a),
    )
