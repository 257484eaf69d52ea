# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""ptrace(2) itself: python-ptrace's own binding without the message it prepares for each call.

The target stands still meanwhile: a call through ptrace.binding.func.ptrace costs about twice as
much (measured: 2.4 against 1.1 µs). Structures, request numbers and the error are the library's.
"""

from __future__ import annotations

import os
from ctypes import addressof, c_long, c_ulong, create_string_buffer, get_errno, sizeof

from ptrace.binding import func
from ptrace.binding.func import PTRACE_GETREGSET, PTRACE_SETREGSET
from ptrace.binding.linux_struct import iovec_struct, user_regs_struct
from ptrace.ctypes_libc import libc
from ptrace.error import PtraceError

#: older machines have a request of its own for the registers, which is a little cheaper
_GETREGS: int | None = getattr(func, "PTRACE_GETREGS", None)
_SETREGS: int | None = getattr(func, "PTRACE_SETREGS", None)
_NT_PRSTATUS = 1

_ptrace = libc.ptrace
_ptrace.argtypes = (c_ulong, c_ulong, c_ulong, c_ulong)
_ptrace.restype = c_long


def call(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    """One ptrace request that gives nothing back. Raises PtraceError with errno."""
    if _ptrace(request, tid, address, data) == -1:
        number = get_errno()
        raise PtraceError(f"ptrace({request:#x}, {tid}): {os.strerror(number)}", number, tid)


def get_registers(tid: int) -> user_regs_struct:
    """The registers of a stopped thread."""
    registers = user_regs_struct()
    if _GETREGS is not None:
        call(_GETREGS, tid, 0, addressof(registers))
    else:
        _regset(PTRACE_GETREGSET, tid, _NT_PRSTATUS, addressof(registers), sizeof(registers))
    return registers


def set_registers(tid: int, registers: user_regs_struct) -> None:
    """Set them."""
    if _SETREGS is not None:
        call(_SETREGS, tid, 0, addressof(registers))
    else:
        _regset(PTRACE_SETREGSET, tid, _NT_PRSTATUS, addressof(registers), sizeof(registers))


def get_regset(tid: int, note: int, room: int = 1 << 14) -> bytes:
    """A set of registers of a stopped thread (NT_… of elf.h). Raises PtraceError."""
    buffer = create_string_buffer(room)
    size = _regset(PTRACE_GETREGSET, tid, note, addressof(buffer), room)
    return buffer.raw[:size]


def _regset(request: int, tid: int, note: int, address: int, size: int) -> int:
    """Bytes that were moved."""
    vector = iovec_struct()
    vector.buf, vector.len = address, size
    call(request, tid, note, addressof(vector))
    moved: int = vector.len
    return moved
