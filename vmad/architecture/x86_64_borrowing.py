# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Borrowing a thread on 64-bit x86: its instructions and registers, and signal frames.

The frames lie on the target's stack and undo an injection by themselves if the tracer dies.

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

import re
import struct
from collections.abc import Iterator
from typing import Protocol

from vmad.architecture.borrowing import Borrowing, Call, Chain, Places, signed
from vmad.architecture.x86_64_calls import CALLS

RED_ZONE = 128
_SYS_SCHED_SETSCHEDULER = CALLS.sched_setscheduler
#: __USER_CS of 64-bit programs (arch/x86/include/asm/segment.h)
_USER_CS = 0x33

#: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h):
#: the kernel's own word that a system call is to be begun again
RESTARTS = frozenset({-512, -513, -514, -516})

#: regset of the vector registers (include/uapi/linux/elf.h)
_NT_X86_XSTATE = 0x202
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
_WORD = 8
_ALL_SIGNALS = (1 << 64) - 1
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


def build_chain(
    registers: Registers,
    mask: int,
    vectors: bytes,
    places: Places,
    back: Call,
    *,
    policy: int | None = None,
    patience: float = 0.0,
) -> Chain:
    """The frames for a thread.

    ``mask`` is its signal mask, ``vectors`` what NT_X86_XSTATE gives, ``back`` the call
    that takes back what is done; with ``policy``, a further frame gives the thread that scheduling
    policy again. ``patience``: seconds that ``back`` may wait (the timeout of futex). Signals are
    held back until the thread has its own state. The chain also serves any later toggle of the
    same thread when its first frame is laid anew.
    """
    (xfeatures,) = struct.unpack_from("<Q", vectors, _SW_RESERVED)
    if len(vectors) > _TILE_DATA_SIZE and not xfeatures & _TILE_DATA:
        vectors = vectors[:_WITHOUT_TILES]
    fp_size = len(vectors) + 4
    frames = 2 if policy is None else 3
    total = (frames * FRAME_SIZE + fp_size + 64 + 63) & ~63
    base = (registers.rsp - RED_ZONE - total) & ~63
    fpstate = (base + frames * FRAME_SIZE + 63) & ~63
    backs = [back]
    if policy is not None:
        backs.append((_SYS_SCHED_SETSCHEDULER, 0, policy, base + _ZEROS))
    content = bytearray(total)
    timeout = base + _FRAME.size
    for number, changed in enumerate((*_calls(backs, base, places, timeout), _own(registers))):
        at = number * FRAME_SIZE
        content[at : at + _FRAME.size] = _FRAME.pack(
            places.sigreturn, _UC_FLAGS, 0, *_NO_ALTSTACK, *_frame(registers, changed),
            fpstate, mask if number == frames - 1 else _ALL_SIGNALS,
        )  # fmt: skip
    seconds, part = divmod(patience, 1.0)
    # where the signal's own words would be, which nobody reads
    struct.pack_into("<2Q", content, timeout - base, int(seconds), int(part * 1e9))
    area = bytearray(vectors)
    struct.pack_into("<IIQI", area, _SW_RESERVED, _MAGIC1, fp_size, xfeatures, len(vectors))
    content[fpstate - base : fpstate - base + len(area)] = area
    struct.pack_into("<I", content, fpstate - base + len(area), _MAGIC2)
    # as the return from a signal handler leaves it: behind the frame's first word
    first = base + _WORD
    return Chain(base, bytes(content), first, first + (frames - 1) * FRAME_SIZE)


def _calls(backs: list[Call], base: int, places: Places, timeout: int) -> Iterator[dict[str, int]]:
    """Registers that make each call, with the next frame as what it returns to."""
    for number, back in enumerate(backs, 1):
        changed = dict(zip(("rax", "rdi", "rsi", "rdx", "r10"), (*back, timeout), strict=True))
        yield changed | {"rsp": base + number * FRAME_SIZE, "rip": places.call}


def _own(registers: Registers) -> dict[str, int]:
    """The thread's own; a system call that a stop interrupted is begun again."""
    own = {name: getattr(registers, name) for name in ("rdi", "rsi", "rdx", "rax", "rsp", "rip")}
    own["r10"] = registers.r10
    result, number = signed(registers.rax), signed(registers.orig_rax)
    if number >= 0 and result in RESTARTS:
        own["rax"], own["rip"] = registers.orig_rax, registers.rip - 2
    return own


def _frame(registers: Registers, changed: dict[str, int]) -> tuple[int, ...]:
    """struct sigcontext up to its cr2."""
    r, c = registers, changed
    return (
        r.r8, r.r9, c["r10"], r.r11, r.r12, r.r13, r.r14, r.r15, c["rdi"], c["rsi"], r.rbp, r.rbx,
        c["rdx"], c["rax"], r.rcx, c["rsp"], c["rip"], r.eflags, r.cs, 0, 0, r.ss, 0, 0, 0, 0,
    )  # fmt: skip


BORROWING = Borrowing(
    # syscall; ret, or as C libraries have it: syscall; cmp $-4095,%rax; jae over the ret
    call=re.compile(rb"\x0f\x05(?:\xc3|\x48\x3d\x01\xf0\xff\xff\x73\x01\xc3)", re.DOTALL),
    # mov $15,%rax (or %eax); syscall
    sigreturn=re.compile(rb"(?:\x48\xc7\xc0|\xb8)\x0f\x00\x00\x00\x0f\x05", re.DOTALL),
    alignment=1,
    arguments=("rdi", "rsi", "rdx", "r10", "r8", "r9"),
    number="rax",
    result="rax",
    begun="orig_rax",
    call_again=None,
    instruction="rip",
    stack="rsp",
    link=None,
    cleared=None,
    on_its_stack=("rsp", "fs_base"),
    thread_pointer=None,
    user_end=1 << 47,
    go_memory=range(0xC0_0000_0000, 0xE0_0000_0000),
    runs_64_bits=lambda registers: bool(registers.cs == _USER_CS),
    red_zone=RED_ZONE,
    frame_size=FRAME_SIZE,
    chain=build_chain,
    vectors=_NT_X86_XSTATE,
    unfit=(),
    # behind pretcode, flags, link, stack, r8..r15: rdi, rsi, rbp, rbx, rdx
    arguments_at=(48 + 64, 48 + 64 + 8, 48 + 64 + 32),
    # read, write, accept, sendto, recvfrom, sendmsg, recvmsg (sockets with a timeout), semop,
    # rt_sigtimedwait, io_getevents, semtimedop, epoll_wait, epoll_pwait, accept4, recvmmsg,
    # io_pgetevents, io_uring_enter, epoll_pwait2
    begun_again=frozenset(
        (0, 1, 43, 44, 45, 46, 47, 65, 128, 208, 220, 232, 281, 288, 299, 333, 426, 441)
    ),
    prolonged=frozenset(),
)
