# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where a thread begins, by what a file says of its code without the names of functions."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_uint64, c_void_p
from typing import Final

#: where in the header of an ELF file (64 bits) its entry stands
_ENTRY: Final = 24
#: bytes of code there, until it jumps to where it does not come back from
_ENTERED: Final = 128


def nothing_calls(libdw: ctypes.CDLL, module: int, address: int) -> bool:
    """Whether a thread begins at ``address`` in the module that libdw has there.

    Either its unwind tables leave the return address undefined, as for a program's first function
    and the first one of each thread (System V ABI); or they have nothing and it lies just behind
    the place where the file is entered, as in the dynamic loader of glibc on x86-64.
    """
    bias, frame = c_uint64(), c_void_p()
    tables = libdw.dwfl_module_eh_cfi(module, byref(bias))
    if not tables or libdw.dwarf_cfi_addrframe(tables, address - bias.value, byref(frame)):
        return _is_entered(libdw, module, address)
    try:
        register = libdw.dwarf_frame_info(frame, None, None, None)
        # "undefined" points at this memory, "same value" at nothing
        operations, where, count = (c_uint64 * 12)(), c_void_p(), c_size_t()
        known = libdw.dwarf_frame_register(frame, register, operations, byref(where), byref(count))
        return known == 0 and where.value is not None and count.value == 0
    finally:
        libc = ctypes.CDLL(None)
        libc.free.argtypes = (c_void_p,)
        libc.free(frame)


def _is_entered(libdw: ctypes.CDLL, module: int, address: int) -> bool:
    bias = c_uint64()
    elf = libdw.dwfl_module_getelf(module, byref(bias))
    header = libdw.elf64_getehdr(elf) if elf else None
    if not header:
        return False
    entry = c_uint64.from_address(header + _ENTRY).value + bias.value
    return 0 <= address - entry < _ENTERED
