# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The frames of a stopped thread, as it is now (vmad/architecture lays them out)."""

from __future__ import annotations

import ctypes

from ptrace.binding.linux_struct import user_regs_struct

from vmad.architecture.borrowing import Call, Chain
from vmad.probe.calls import call, get_regset
from vmad.probe.gadget import Gadgets
from vmad.probe.processor import borrowing_here
from vmad.probe.tracing import Stopped

# include/uapi/linux/ptrace.h
_GETSIGMASK = 0x420A


def signal_mask(tid: int) -> int:
    """Signals that a stopped thread holds back."""
    mask = ctypes.c_uint64()
    call(_GETSIGMASK, tid, 8, ctypes.addressof(mask))
    return mask.value


def frames_of(
    thread: Stopped,
    gadgets: Gadgets,
    back: Call,
    mask: int,
    *,
    policy: int | None = None,
    patience: float = 0.0,
) -> Chain:
    """Frames that make the call ``back`` and then give the thread its own state."""
    here = borrowing_here()
    return here.chain(
        thread.registers, mask, get_regset(thread.tid, here.vectors), gadgets, back,
        policy=policy, patience=patience,
    )  # fmt: skip


def aimed(
    working: user_regs_struct,
    registers: user_regs_struct,
    gadgets: Gadgets,
    instruction: int,
    stack: int,
) -> user_regs_struct:
    """``working``, filled with ``registers`` but for where they go on, and return to."""
    ctypes.memmove(ctypes.addressof(working), ctypes.addressof(registers), ctypes.sizeof(working))
    here = borrowing_here()
    here.write(working, "instruction", instruction)
    here.write(working, "stack", stack)
    if here.begun is not None:
        # not in a system call: the kernel begins none again on the way to ours
        here.write(working, "begun", -1)
    if here.link is not None:
        here.write(working, here.link, gadgets.sigreturn)
    if here.cleared is not None:
        register, bits = here.cleared
        here.write(working, register, here.read(working, register) & ~bits)
    return working
