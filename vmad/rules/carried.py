# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a VMA carries besides its pages, as the calls that give a fresh area the same.

A rebuild puts a fresh area in a run's place. What cannot be given to it by a call is a reason to
leave the run out; so is what is not in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.flags import (
    ACCOUNT,
    BY_ADVICE,
    GUARD,
    MAY,
    NORESERVE,
    SOFTDIRTY,
    UFFD,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_READ,
    VM_SPECIAL,
    VM_WRITE,
)

_READ_WRITE = VM_READ | VM_WRITE
_MAP_NORESERVE = 0x4000
_CARRIED = (
    _READ_WRITE | VM_EXEC | MAY | ACCOUNT | SOFTDIRTY | VM_LOCKED | VM_LOCKONFAULT | NORESERVE
    | sum(BY_ADVICE)
)  # fmt: skip

#: why a VMA is left out, by flags
_LEFT_OUT = {
    GUARD: "has guard regions, which do not move",
    UFFD: "is registered with a userfaultfd",
    VM_GROWSDOWN: "grows down",
    VM_SPECIAL: "is special memory",
}


@dataclass(frozen=True, slots=True)
class Carried:
    """``protection`` and ``mapping`` for mmap, ``advice`` for madvise; ``lock``: 0 none, 1 mlock, 2
    mlock2(MLOCK_ONFAULT).
    """

    protection: int
    mapping: int
    advice: tuple[int, ...]
    lock: int


def carried(raw: int, unasked: int) -> Carried | str:
    """What gives a fresh area the raw vm_flags; or why nothing can, as words after "it".

    ``unasked``: raw flags that the kernel gives to whatever anonymous is mapped, or to nothing.
    """
    if raw & _READ_WRITE != _READ_WRITE:
        return "may not be written to"
    for flags, why in _LEFT_OUT.items():
        if raw & flags:
            return why
    others = raw & ~(_CARRIED | unasked)
    if others or raw & MAY != MAY:
        return f"has flags that cannot be carried over ({others:#x})"
    if not raw & (ACCOUNT | NORESERVE):
        return "is not accounted, which a fresh area would be"
    lock = 0 if not raw & VM_LOCKED else 2 if raw & VM_LOCKONFAULT else 1
    return Carried(
        raw & (_READ_WRITE | VM_EXEC),
        _MAP_NORESERVE if raw & NORESERVE else 0,
        tuple(advice for flag, advice in BY_ADVICE.items() if raw & flag),
        lock,
    )
