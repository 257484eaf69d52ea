# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A thin ctypes binding to what of elfutils' libdw unwinds a stack that was copied.

Signatures: elfutils 0.188, libdwfl.h and libdw.h. libdw calls back, for which libffi needs memory
that is writable and executable: for commands, not for the hardened service.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_bool,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
)
from typing import Final

from vmad.errors import EvidenceUnavailable

FIND_ELF = CFUNCTYPE(
    c_int, c_void_p, c_void_p, c_char_p, c_uint64, POINTER(c_void_p), POINTER(c_void_p)
)
MEMORY_READ = CFUNCTYPE(c_bool, c_void_p, c_uint64, POINTER(c_uint64), c_void_p)
NEXT_THREAD = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(c_void_p))
GET_THREAD = CFUNCTYPE(c_bool, c_void_p, c_int, c_void_p, POINTER(c_void_p))
SET_REGISTERS = CFUNCTYPE(c_bool, c_void_p, c_void_p)
FRAME = CFUNCTYPE(c_int, c_void_p, c_void_p)


class Callbacks(ctypes.Structure):
    """Dwfl_Callbacks"""

    _fields_ = (
        ("find_elf", FIND_ELF),
        ("find_debuginfo", c_void_p),
        ("section_address", c_void_p),
        ("debuginfo_path", c_void_p),
    )


class ThreadCallbacks(ctypes.Structure):
    """Dwfl_Thread_Callbacks"""

    _fields_ = (
        ("next_thread", NEXT_THREAD),
        ("get_thread", GET_THREAD),
        ("memory_read", MEMORY_READ),
        ("set_initial_registers", SET_REGISTERS),
        ("detach", c_void_p),
        ("thread_detach", c_void_p),
    )


_SIGNATURES: Final[dict[str, tuple[object, tuple[object, ...]]]] = {
    "dwfl_begin": (c_void_p, (POINTER(Callbacks),)),
    "dwfl_end": (None, (c_void_p,)),
    "dwfl_report_begin": (None, (c_void_p,)),
    "dwfl_report_end": (c_int, (c_void_p, c_void_p, c_void_p)),
    "dwfl_report_elf": (c_void_p, (c_void_p, c_char_p, c_char_p, c_int, c_uint64, c_bool)),
    "dwfl_report_module": (c_void_p, (c_void_p, c_char_p, c_uint64, c_uint64)),
    "dwfl_attach_state": (
        c_bool,
        (c_void_p, c_void_p, c_int, POINTER(ThreadCallbacks), c_void_p),
    ),
    "dwfl_getthread_frames": (c_int, (c_void_p, c_int, FRAME, c_void_p)),
    "dwfl_frame_pc": (c_bool, (c_void_p, POINTER(c_uint64), POINTER(c_bool))),
    "dwfl_thread_state_registers": (c_bool, (c_void_p, c_int, c_uint, POINTER(c_uint64))),
    "dwfl_thread_state_register_pc": (None, (c_void_p, c_uint64)),
    "dwfl_addrmodule": (c_void_p, (c_void_p, c_uint64)),
    "dwfl_module_addrname": (c_char_p, (c_void_p, c_uint64)),
    "dwfl_module_info": (
        c_char_p,
        (
            c_void_p,
            c_void_p,
            POINTER(c_uint64),
            POINTER(c_uint64),
            c_void_p,
            c_void_p,
            POINTER(c_char_p),
            POINTER(c_char_p),
        ),
    ),
    "dwfl_module_getelf": (c_void_p, (c_void_p, POINTER(c_uint64))),
    "dwfl_module_build_id": (c_int, (c_void_p, POINTER(c_void_p), POINTER(c_uint64))),
    "dwfl_module_eh_cfi": (c_void_p, (c_void_p, POINTER(c_uint64))),
    "dwarf_cfi_addrframe": (c_int, (c_void_p, c_uint64, POINTER(c_void_p))),
    "dwarf_frame_info": (
        c_int,
        (c_void_p, POINTER(c_uint64), POINTER(c_uint64), POINTER(c_bool)),
    ),
    "dwarf_frame_register": (
        c_int,
        (c_void_p, c_int, c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    ),
    "elf64_getehdr": (c_void_p, (c_void_p,)),
    "dwfl_module_getsrc": (c_void_p, (c_void_p, c_uint64)),
    "dwfl_lineinfo": (
        c_char_p,
        (c_void_p, c_void_p, POINTER(c_int), POINTER(c_int), c_void_p, c_void_p),
    ),
}


def load_libdw() -> ctypes.CDLL:
    """libdw.so.1, with the signatures of what is used set. Raises EvidenceUnavailable."""
    try:
        library = ctypes.CDLL("libdw.so.1", use_errno=True)
    except OSError as error:
        raise EvidenceUnavailable(
            "blame: libdw.so.1 is not installed", "install Debian's package libdw1"
        ) from error
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
