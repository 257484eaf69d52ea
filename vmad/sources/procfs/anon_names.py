# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether this kernel knows names of anonymous memory (5.17+, CONFIG_ANON_VMA_NAME): by trying."""

from __future__ import annotations

import ctypes
import mmap

_PR_SET_VMA, _PR_SET_VMA_ANON_NAME = 0x53564D41, 0


def anon_names_exist() -> bool:
    """Name a page of our own; EINVAL tells that no name can exist on this kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    with mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        name = ctypes.create_string_buffer(b"vmad")
        place = ctypes.addressof(ctypes.c_char.from_buffer(page))
        where = ctypes.addressof(name)
        result = libc.prctl(_PR_SET_VMA, _PR_SET_VMA_ANON_NAME, place, mmap.PAGESIZE, where)
    return bool(result == 0)
