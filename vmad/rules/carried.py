# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a VMA carries besides its pages, as the calls that give a fresh area the same.

A rebuild puts a fresh area in a run's place. What cannot be given to it by a call is a reason to
leave the run out; so is what is not in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.flags import ACCOUNT, GUARD, SOFTDIRTY, VM_EXEC, VM_READ, VM_WRITE

_READ_WRITE = VM_READ | VM_WRITE
#: VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC
_MAY = 0x70
_LOCKED, _LOCKED_ON_FAULT, _NO_RESERVE = 1 << 13, 1 << 19, 1 << 21
_MAP_NORESERVE = 0x4000
#: flag -> advice of madvise (include/uapi/asm-generic/mman-common.h): sr, rr, dc, wf, dd, hg, nh,
#: mg
_BY_ADVICE = {
    1 << 15: 2, 1 << 16: 1, 1 << 17: 10, 1 << 25: 18, 1 << 26: 16, 1 << 29: 14, 1 << 30: 15,
    1 << 31: 12,
}  # fmt: skip
_CARRIED = (
    _READ_WRITE | VM_EXEC | _MAY | ACCOUNT | SOFTDIRTY | _LOCKED | _LOCKED_ON_FAULT | _NO_RESERVE
    | sum(_BY_ADVICE)
)  # fmt: skip

#: why a VMA is left out, by flag; codes as smaps shows them
_LEFT_OUT = {
    GUARD: "has guard regions, which do not move",
    1 << 9: "is registered with a userfaultfd",
    1 << 12: "is registered with a userfaultfd",
    1 << 8: "grows down",
    1 << 10: "is special memory",
    1 << 14: "is special memory",
    1 << 18: "is special memory",
    1 << 28: "is special memory",
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


def carried(raw: int) -> Carried | str:
    """What gives a fresh area the raw vm_flags; or why nothing can, as words after "it"."""
    if raw & _READ_WRITE != _READ_WRITE:
        return "may not be written to"
    for flag, why in _LEFT_OUT.items():
        if raw & flag:
            return why
    if raw & ~_CARRIED or raw & _MAY != _MAY:
        return f"has flags that cannot be carried over ({raw & ~_CARRIED:#x})"
    if not raw & (ACCOUNT | _NO_RESERVE):
        return "is not accounted, which a fresh area would be"
    lock = 0 if not raw & _LOCKED else 2 if raw & _LOCKED_ON_FAULT else 1
    return Carried(
        raw & (_READ_WRITE | VM_EXEC),
        _MAP_NORESERVE if raw & _NO_RESERVE else 0,
        tuple(advice for flag, advice in _BY_ADVICE.items() if raw & flag),
        lock,
    )
