# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What depends on the processor where a thread of another process is borrowed (vmad/probe)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

_WORD = (1 << 64) - 1

#: a system call: its number, and the first three arguments
Call = tuple[int, int, int, int]


class Places(Protocol):
    """Addresses of the borrowed instructions."""

    @property
    def call(self) -> int:
        """A system call and a return."""

    @property
    def sigreturn(self) -> int:
        """The call of rt_sigreturn."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Bytes to lay at ``address``; the injected call runs with its stack pointer there.

    With the stack pointer at ``back`` the call of rt_sigreturn leads to the call that takes
    everything back, at ``own`` to the thread's own state.
    """

    address: int
    content: bytes
    back: int
    own: int


class ChainBuilder(Protocol):
    """Lays out the signal frames by which a thread undoes an injection alone."""

    def __call__(
        self,
        registers: Any,
        mask: int,
        vectors: bytes,
        places: Places,
        back: Call,
        *,
        policy: int | None = None,
        patience: float = 0.0,
    ) -> Chain:
        """For a thread with these registers and this signal mask; ``vectors`` is the regset that
        ``Borrowing.vectors`` names.
        """


@dataclass(frozen=True, slots=True)
class Unfit:
    """A state in which a thread is not borrowed, since a frame could not bring it back."""

    regset: int  #: NT_… of elf.h; a kernel or processor without it has no thread in that state
    applies: Callable[[bytes], bool]  #: to what the regset gives
    why: str  #: goes on a sentence that begins with the thread
    in_call: bool = True  #: also of a thread that waits in a system call


@dataclass(frozen=True, slots=True)
class Borrowing:
    """Instructions, registers by the names that ptrace's structure has for them, and frames.

    ``call`` and ``sigreturn`` are what is looked for in a program's code: a system call with a
    return behind it, and the call of rt_sigreturn.
    """

    call: re.Pattern[bytes]
    sigreturn: re.Pattern[bytes]
    alignment: int  #: bytes; instructions begin at multiples of it
    arguments: tuple[str, ...]  #: registers of a system call's arguments
    number: str  #: of its number
    result: str
    #: number of the call that a stopped thread is in; negative: in none. None: no register tells
    begun: str | None
    #: where none does: the instruction at which it stands then, with all arguments as they were
    call_again: bytes | None
    instruction: str
    stack: str
    link: str | None  #: of the address that a call returns to; None: that is on the stack
    cleared: tuple[str, int] | None  #: bits of a register that are 0 where a call begins
    on_its_stack: tuple[str, ...]  #: registers that point to what its own code lives by
    #: the regset that begins with the address of its thread-local storage; None: a register has it
    thread_pointer: int | None
    user_end: int  #: where the addresses end that mmap gives unasked, at most
    #: where the Go runtime has its memory, stacks included (src/runtime/malloc.go, mallocinit)
    go_memory: range
    runs_64_bits: Callable[[Any], bool]  #: whether the thread with these registers does
    red_zone: int  #: bytes below the stack pointer that its code may use
    frame_size: int  #: bytes of a signal frame, without the state of the vector registers
    chain: ChainBuilder
    vectors: int  #: the regset of the vector registers (NT_… of elf.h)
    unfit: tuple[Unfit, ...]
    arguments_at: tuple[int, int, int]  #: offsets in a frame of the first three arguments
    #: calls that give EINTR when a stop wakes them, even without a handler (signal(7)), and that
    #: have done nothing then, so that they can be begun again
    begun_again: frozenset[int]
    #: calls that begin with their whole timeout where the thread in them was borrowed
    prolonged: frozenset[int]

    def read(self, registers: Any, name: str) -> int:
        """One register, by what it is used for ("result") or by its name, unsigned."""
        value: int = getattr(registers, getattr(self, name, name))
        return value

    def write(self, registers: Any, name: str, value: int) -> None:
        """The same register; a negative number as the processor has it."""
        setattr(registers, getattr(self, name, name), value & _WORD)


def signed(value: int) -> int:
    """A 64-bit register as a signed number."""
    return value - (1 << 64) if value >> 63 else value
