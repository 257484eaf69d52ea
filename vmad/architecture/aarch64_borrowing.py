# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Borrowing a thread on 64-bit Arm: its instructions and registers, and signal frames.

The frames are those of :mod:`vmad.architecture.x86_64_borrowing`, and undo an injection in the same
way. What differs:

- A call returns by the link register, so that this leads into rt_sigreturn, not a word on the
  stack.
- A thread that a stop took out of a system call stands at its ``svc`` again already, with the
  first argument put back (do_signal() of arch/arm64/kernel/signal.c): going on there begins the
  call again. The kernel's own way for a call with a relative timeout (restart_syscall) ends with
  the stop in which it is borrowed: such a call then begins with the whole timeout.
- Of the vector registers a frame has 128 bits each. More than that is alive only in code that uses
  SVE (a system call ends it) or SME: such a thread is not borrowed. No record is laid of what may
  be left out and then stays as it is (TPIDR2, FPMR, POE).

Layout of a frame: struct rt_sigframe of arch/arm64/kernel/signal.c, sigcontext of the uapi headers;
unchanged since 3.7 but for the records, which the kernel reads up to an empty one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from vmad.architecture.aarch64_calls import CALLS
from vmad.architecture.borrowing import Borrowing, Call, Chain, Places, Unfit

#: nobody promises any (AAPCS64), and it costs nothing
RED_ZONE = 128
#: siginfo; flags, link, alternate stack, signal mask with room for more; fault address, x0 to x30,
#: sp, pc, pstate
_FRAME = struct.Struct("<128xQQQixxxxQQ128xQ31QQQQ8x")
#: an alternate stack with unknown flags is refused by sigreturn, which leaves the real one alone
_NO_ALTSTACK = (0, 0x7FFF_0000, 0)
#: struct fpsimd_context before its registers; what ends the records
_FPSIMD = struct.Struct("<IIII")
_FPSIMD_MAGIC, _VECTORS, _END = 0x46508001, 512, bytes(16)
FRAME_SIZE = _FRAME.size + _FPSIMD.size + _VECTORS + len(_END)
#: where a frame has x0
_X0 = 312
#: struct sched_param of a thread that is not of real-time: the siginfo, all zero
_ZEROS = 0
#: timespec of a call that waits, in the rest of it
_TIMEOUT = 64
_ALL_SIGNALS = (1 << 64) - 1

#: bits of PSTATE: AArch32; what an indirect branch expects of the instruction that it leads to
_MODE_32, _BTYPE = 0x10, 0xC00
#: regsets (include/uapi/linux/elf.h)
_NT_PRFPREG, _NT_ARM_TLS = 2, 0x401
_NT_ARM_SVE, _NT_ARM_SSVE, _NT_ARM_ZA, _NT_ARM_GCS = 0x405, 0x40B, 0x40C, 0x410


def build_chain(
    registers: Any,
    mask: int,
    vectors: bytes,
    places: Places,
    back: Call,
    *,
    policy: int | None = None,
    patience: float = 0.0,
) -> Chain:
    """The frames for a thread; ``vectors`` is what NT_PRFPREG gives (528 bytes)."""
    backs = [back]
    frames = 2 if policy is None else 3
    total = frames * FRAME_SIZE
    base = (registers.sp - RED_ZONE - total) & ~63
    if policy is not None:
        backs.append((CALLS.sched_setscheduler, 0, policy, base + _ZEROS))
    fpsr, fpcr = struct.unpack_from("<II", vectors, _VECTORS)
    record = _FPSIMD.pack(_FPSIMD_MAGIC, _FPSIMD.size + _VECTORS, fpsr, fpcr)
    own = [*(getattr(registers, f"r{number}") for number in range(31))]
    own += [registers.sp, registers.pc, registers.pstate]
    masks = [*[_ALL_SIGNALS] * len(backs), mask]
    states = [*_calls(own, backs, base, places), own]
    content = bytearray().join(
        _FRAME.pack(0, 0, *_NO_ALTSTACK, mask, 0, *values) + record + vectors[:_VECTORS] + _END
        for mask, values in zip(masks, states, strict=True)
    )
    seconds, part = divmod(patience, 1.0)
    struct.pack_into("<2Q", content, _TIMEOUT, int(seconds), int(part * 1e9))
    return Chain(base, bytes(content), base, base + (frames - 1) * FRAME_SIZE)


def _calls(
    own: Sequence[int], backs: Sequence[Call], base: int, places: Places
) -> Iterator[list[int]]:
    """Registers that make each call, with the next frame as what it returns to."""
    for number, (call, *arguments) in enumerate(backs, 1):
        values = list(own)
        values[:4], values[8] = [*arguments, base + _TIMEOUT], call
        values[30:] = [
            places.sigreturn, base + number * FRAME_SIZE, places.call, own[33] & ~_BTYPE
        ]  # fmt: skip
        yield values


def _has_payload(regset: bytes) -> bool:
    """struct user_za_header: nothing behind it while ZA is off."""
    return len(regset) > 16


def _is_sve(regset: bytes) -> bool:
    """struct user_sve_header: whether its flags say that the SVE format is in use."""
    return len(regset) >= 16 and bool(struct.unpack_from("<H", regset, 12)[0] & 1)


def _is_guarded(regset: bytes) -> bool:
    """struct user_gcs: features_enabled."""
    return len(regset) >= 8 and bool(struct.unpack_from("<Q", regset)[0])


BORROWING = Borrowing(
    # svc #0; ret, or as C libraries have it: svc #0; cmn x0, #4095; b.cs over the ret
    call=re.compile(
        rb"\x01\x00\x00\xd4(?:\x1f\xfc\x3f\xb1\x42\x00\x00\x54)?\xc0\x03\x5f\xd6", re.DOTALL
    ),
    # mov x8, #139; svc #0
    sigreturn=re.compile(rb"\x68\x11\x80\xd2\x01\x00\x00\xd4", re.DOTALL),
    alignment=4,
    arguments=("r0", "r1", "r2", "r3", "r4", "r5"),
    number="r8",
    result="r0",
    begun=None,
    call_again=b"\x01\x00\x00\xd4",
    instruction="pc",
    stack="sp",
    link="r30",
    cleared=("pstate", _BTYPE),
    on_its_stack=("sp",),
    thread_pointer=_NT_ARM_TLS,
    user_end=1 << 48,
    go_memory=range(0x40_0000_0000, 0x60_0000_0000),
    runs_64_bits=lambda registers: not registers.pstate & _MODE_32,
    red_zone=RED_ZONE,
    frame_size=FRAME_SIZE,
    chain=build_chain,
    vectors=_NT_PRFPREG,
    unfit=(
        Unfit(_NT_ARM_SVE, _is_sve, "is in the middle of code that uses SVE", in_call=False),
        Unfit(_NT_ARM_SSVE, _is_sve, "is in SME's streaming mode"),
        Unfit(_NT_ARM_ZA, _has_payload, "uses SME's matrix registers"),
        Unfit(
            _NT_ARM_GCS, _is_guarded,
            "uses a guarded control stack: it could not be left intact if the probe were killed",
        ),
    ),
    arguments_at=(_X0, _X0 + 8, _X0 + 16),
    # the same calls as on x86-64, where they exist: read, write, accept, sendto, recvfrom, sendmsg,
    # recvmsg, semop, rt_sigtimedwait, io_getevents, semtimedop, epoll_pwait, accept4, recvmmsg,
    # io_pgetevents, io_uring_enter, epoll_pwait2
    begun_again=frozenset(
        (63, 64, 202, 206, 207, 211, 212, 193, 137, 4, 192, 22, 242, 243, 292, 426, 441)
    ),
    # nanosleep, clock_nanosleep
    prolonged=frozenset((101, 115)),
)  # fmt: skip
