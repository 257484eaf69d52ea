# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which hint to set and take back, so that the kernel tries to merge a VMA with its neighbours.

madvise() of a hint that a whole VMA does not have yet sets it, without a split; taking it back
makes the kernel look at both neighbours with the original flags (madvise_update_vma, mm/madvise.c,
every release since 5.10). No data semantics hang on the hints used here. The hint in between must
be one that neither neighbour carries: else the first step itself merges the VMA with a neighbour,
and an unfaulted VMA that is split off again keeps that neighbour's anon_vma (__split_vma).
"""

from __future__ import annotations

from typing import NamedTuple

from vmad.model.flags import VM_DONTDUMP, VM_RAND_READ, VM_SEQ_READ, VM_SPECIAL

MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL = 0, 1, 2
MADV_DONTDUMP, MADV_DODUMP = 16, 17

#: MAP_DROPPABLE (6.11), always VM_DONTDUMP: MADV_DODUMP is EINVAL, as on VM_SPECIAL
VM_DROPPABLE = 1 << 40
_READ_AHEAD = VM_SEQ_READ | VM_RAND_READ

#: the three read-ahead hints exclude each other; the order is the order of preference
_BY_HINT = {0: MADV_NORMAL, VM_RAND_READ: MADV_RANDOM, VM_SEQ_READ: MADV_SEQUENTIAL}
_PREFERENCE = (VM_RAND_READ, VM_SEQ_READ, 0)

ADVICE_NAMES = {
    MADV_NORMAL: "MADV_NORMAL",
    MADV_RANDOM: "MADV_RANDOM",
    MADV_SEQUENTIAL: "MADV_SEQUENTIAL",
    MADV_DONTDUMP: "MADV_DONTDUMP",
    MADV_DODUMP: "MADV_DODUMP",
}


class Toggle(NamedTuple):
    """Two madvise() calls: ``away`` changes a hint, ``back`` restores what was there."""

    away: int
    back: int

    def __str__(self) -> str:
        return f"{ADVICE_NAMES[self.away]} then {ADVICE_NAMES[self.back]}"


def choose_toggle(flags: int, *neighbours: int) -> Toggle | None:
    """The toggle for a VMA with these raw vm_flags between neighbours with those.

    A neighbour is what touches the VMA below or above, whatever it is. None when every hint in
    between would be one that a neighbour carries.
    """
    now = flags & _READ_AHEAD
    taken = {now, *(neighbour & _READ_AHEAD for neighbour in neighbours)}
    for hint in _PREFERENCE:
        if hint not in taken:
            return Toggle(_BY_HINT[hint], _BY_HINT.get(now, MADV_NORMAL))
    if flags & (VM_DROPPABLE | VM_SPECIAL):
        return None
    # third choice: a core dump in between would miss, or contain, this memory
    dumped = flags & VM_DONTDUMP
    if all(neighbour & VM_DONTDUMP == dumped for neighbour in neighbours):
        away, back = (MADV_DODUMP, MADV_DONTDUMP) if dumped else (MADV_DONTDUMP, MADV_DODUMP)
        return Toggle(away, back)
    return None
