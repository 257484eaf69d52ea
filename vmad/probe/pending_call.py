# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The system call in which a thread waits (/proc/PID/task/TID/syscall, proc(5)).

Where the first argument and the result share a register, the argument is known to nobody else once
the call has given EINTR.
"""

from __future__ import annotations

from typing import NamedTuple

#: number, six arguments, stack pointer, instruction
_FIELDS = 9


class PendingCall(NamedTuple):
    """A call, its first argument, and where the thread stands behind it."""

    number: int
    first: int
    stack: int
    instruction: int


def read_pending(task: str) -> PendingCall | None:
    """Of the thread with this directory; None where it runs, is in no call, or may not be read."""
    try:
        with open(f"{task}/syscall", encoding="ascii") as file:
            fields = file.read().split()
    except OSError:
        return None
    if len(fields) != _FIELDS:
        return None
    number, first, *_, stack, instruction = fields
    return PendingCall(int(number), int(first, 16), int(stack, 16), int(instruction, 16))
