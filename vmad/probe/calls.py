# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""ptrace(2) itself: python-ptrace's own binding without the message it prepares for each call.

The target stands still meanwhile: a call through ptrace.binding.func.ptrace costs about twice as
much (measured: 2.4 against 1.1 µs). Structures, request numbers and the error are the library's.
"""

from __future__ import annotations

import os
from ctypes import addressof, c_long, c_ulong, get_errno

from ptrace.binding.func import PTRACE_GETREGS, PTRACE_SETREGS
from ptrace.binding.linux_struct import user_regs_struct
from ptrace.ctypes_libc import libc
from ptrace.error import PtraceError

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
    call(PTRACE_GETREGS, tid, 0, addressof(registers))
    return registers


def set_registers(tid: int, registers: user_regs_struct) -> None:
    """Set them."""
    call(PTRACE_SETREGS, tid, 0, addressof(registers))
