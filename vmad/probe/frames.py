# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Signal frames on the target's stack that undo an injection by themselves if the tracer dies.

When a tracer is killed, the kernel sets its tracees free at once, with whatever registers they
have. So before a thread's registers are changed, two or three frames are laid below its stack (and
below the 128 bytes that its code may use there, System V ABI 3.2.2), as if signal handlers had
been entered: the return after the injected call leads into rt_sigreturn, which takes the next one:

    madvise(away) → frame 1: madvise(back) → frame 2: the original registers and signal mask
    mmap, code of ours → frame 1: munmap → frame 2: sched_setscheduler → frame 3: the same

On the ordinary way none of them is used: the tracer restores everything and puts back the bytes.
Layout of a frame: struct rt_sigframe of arch/x86/include/asm/sigframe.h, ucontext and sigcontext
of the uapi headers; unchanged since x86-64 exists.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vmad.architecture.x86_64 import X86_64

RED_ZONE = 128
SYS_MADVISE = X86_64.calls.madvise
_SYS_SCHED_SETSCHEDULER = X86_64.calls.sched_setscheduler

#: a system call: its number, and the first three arguments
Call = tuple[int, int, int, int]

#: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h):
#: the kernel's own word that a system call is to be begun again
RESTARTS = frozenset({-512, -513, -514, -516})

#: UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
_UC_FLAGS = 1 | 2 | 4
#: an alternate stack with unknown flags is refused by sigreturn, which leaves the real one alone
_NO_ALTSTACK = (0, 0x7FFF_0000, 0)
_FRAME = struct.Struct("<QQQQQQ18QHHHHQQQQQ64xQ")
_MAGIC1, _MAGIC2 = 0x46505853, 0x46505845
_SW_RESERVED = 464  #: offset of struct _fpx_sw_bytes in the 512 bytes of fxsave
#: ptrace shows room for AMX tiles that a thread without the right to them has no room for in its
#: signal frames (fpstate->user_size); the size without them is that of Sapphire Rapids
_TILE_DATA, _TILE_DATA_SIZE, _WITHOUT_TILES = 1 << 18, 8192 + 2048, 2696
#: reserved words of a frame, all zero: also struct sched_param of a thread that is not of real-time
_ZEROS = _FRAME.size - 64 - 8
_SIGINFO = 128
FRAME_SIZE = _FRAME.size + _SIGINFO


class Registers(Protocol):
    """struct user_regs_struct, of which python-ptrace has the definition."""

    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    rdi: int
    rsi: int
    rbp: int
    rbx: int
    rdx: int
    rax: int
    rcx: int
    rsp: int
    rip: int
    eflags: int
    cs: int
    ss: int
    orig_rax: int


class Places(Protocol):
    """Addresses of the borrowed instructions."""

    @property
    def call(self) -> int:
        """``syscall`` and a return."""

    @property
    def sigreturn(self) -> int:
        """The call of rt_sigreturn."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Bytes to lay at ``address``; the injected call runs with its stack pointer there."""

    address: int
    content: bytes


def signed(value: int) -> int:
    """A 64-bit register as a signed number."""
    return value - (1 << 64) if value >> 63 else value


def build_chain(
    registers: Registers,
    mask: int,
    xstate: bytes,
    places: Places,
    back: Call,
    *,
    policy: int | None = None,
) -> Chain:
    """The frames for a thread.

    ``mask`` is its signal mask, ``xstate`` what NT_X86_XSTATE gives, ``back`` the call
    that takes back what is done; with ``policy``, a further frame gives the thread that scheduling
    policy again. The chain also serves any later toggle of the same thread when its first frame
    is laid anew.
    """
    (xfeatures,) = struct.unpack_from("<Q", xstate, _SW_RESERVED)
    if len(xstate) > _TILE_DATA_SIZE and not xfeatures & _TILE_DATA:
        xstate = xstate[:_WITHOUT_TILES]
    fp_size = len(xstate) + 4
    frames = 2 if policy is None else 3
    total = (frames * FRAME_SIZE + fp_size + 64 + 63) & ~63
    base = (registers.rsp - RED_ZONE - total) & ~63
    fpstate = (base + frames * FRAME_SIZE + 63) & ~63
    backs = [back]
    if policy is not None:
        backs.append((_SYS_SCHED_SETSCHEDULER, 0, policy, base + _ZEROS))
    content = bytearray(total)
    for number, changed in enumerate((*_calls(backs, base, places), _own(registers))):
        at = number * FRAME_SIZE
        content[at : at + _FRAME.size] = _FRAME.pack(
            places.sigreturn, _UC_FLAGS, 0, *_NO_ALTSTACK, *_frame(registers, changed),
            fpstate, mask,
        )  # fmt: skip
    area = bytearray(xstate)
    struct.pack_into("<IIQI", area, _SW_RESERVED, _MAGIC1, fp_size, xfeatures, len(xstate))
    content[fpstate - base : fpstate - base + len(area)] = area
    struct.pack_into("<I", content, fpstate - base + len(area), _MAGIC2)
    return Chain(base, bytes(content))


def _calls(backs: list[Call], base: int, places: Places) -> Iterator[dict[str, int]]:
    """Registers that make each call, with the next frame as what it returns to."""
    for number, back in enumerate(backs, 1):
        changed = dict(zip(("rax", "rdi", "rsi", "rdx"), back, strict=True))
        yield changed | {"rsp": base + number * FRAME_SIZE, "rip": places.call}


def _own(registers: Registers) -> dict[str, int]:
    """The thread's own; a system call that a stop interrupted is begun again."""
    own = {name: getattr(registers, name) for name in ("rdi", "rsi", "rdx", "rax", "rsp", "rip")}
    result, number = signed(registers.rax), signed(registers.orig_rax)
    if number >= 0 and result in RESTARTS:
        own["rax"], own["rip"] = registers.orig_rax, registers.rip - 2
    return own


def _frame(registers: Registers, changed: dict[str, int]) -> tuple[int, ...]:
    """struct sigcontext up to its cr2."""
    r, c = registers, changed
    return (
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, c["rdi"], c["rsi"], r.rbp, r.rbx,
        c["rdx"], c["rax"], r.rcx, c["rsp"], c["rip"], r.eflags, r.cs, 0, 0, r.ss, 0, 0, 0, 0,
    )  # fmt: skip
