# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which stopped threads may have their registers lead elsewhere for a while."""

from __future__ import annotations

import ctypes
import errno
import struct

from ptrace.error import PtraceError

from vmad.probe.calls import call, get_regset
from vmad.probe.gadget import Gadgets, read_memory
from vmad.probe.processor import borrowing_here
from vmad.probe.tracing import Stopped

# include/uapi/linux/ptrace.h
_GET_RSEQ, _GET_USER_DISPATCH = 0x420F, 0x4211
#: the only one that passes by itself
IN_SEQUENCE = "is in a restartable sequence"
NO_ROOM = "has no room on its stack"


def unfit(thread: Stopped, gadgets: Gadgets) -> str | None:
    """Why no frames may be laid for a stopped thread, as words after "it"; None where they may."""
    registers, here = thread.registers, borrowing_here()
    if not here.runs_64_bits(registers):
        return "runs 32-bit code"
    try:
        in_call = thread.in_system_call
        if not in_call and _in_rseq(thread):
            return IN_SEQUENCE
        if in_call and here.read(registers, "instruction") == gadgets.call:
            # where no register tells of the call (aarch64), the kernel takes ours for it
            return "waits where calls of ours would be made"
        for state in here.unfit:
            if (state.in_call or not in_call) and state.applies(_state(thread.tid, state.regset)):
                return state.why
        if _dispatched(thread.tid):
            return "has its system calls dispatched to user space"
    except (PtraceError, OSError):
        return NO_ROOM
    return None


def lacks_room(thread: Stopped) -> str | None:
    """In the same words, whether there is nothing below its stack."""
    here, size = borrowing_here(), 256
    try:
        below = here.read(thread.registers, "stack") - here.red_zone - size
        read_memory(thread.tid, below, size)
    except OSError:
        return NO_ROOM
    return None


def _state(tid: int, regset: int) -> bytes:
    """Empty where this kernel or processor does not have it."""
    try:
        return get_regset(tid, regset)
    except PtraceError as error:
        if error.errno == errno.ESRCH:
            raise
        return b""


def _in_rseq(thread: Stopped) -> bool:
    """PTRACE_GET_RSEQ_CONFIGURATION (5.13); false where the kernel cannot tell."""
    configuration = (ctypes.c_uint64 * 3)()
    try:
        call(_GET_RSEQ, thread.tid, 24, ctypes.addressof(configuration))
    except PtraceError:
        return False
    if not configuration[0]:
        return False
    (section,) = struct.unpack("<Q", read_memory(thread.tid, configuration[0] + 8, 8))
    if not section:
        return False
    _, _, start, length, _ = struct.unpack("<IIQQQ", read_memory(thread.tid, section, 32))
    return bool(start <= borrowing_here().read(thread.registers, "instruction") < start + length)


def _dispatched(tid: int) -> bool:
    """PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (6.4); false where the kernel cannot tell."""
    configuration = (ctypes.c_uint64 * 4)()
    try:
        call(_GET_USER_DISPATCH, tid, 32, ctypes.addressof(configuration))
    except PtraceError:
        return False
    return bool(configuration[0])
