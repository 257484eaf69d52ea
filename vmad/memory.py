# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Keeps the C library's heap from growing by fragments, and gives memory back to the kernel."""

from __future__ import annotations

import ctypes

_libc = ctypes.CDLL(None)
#: glibc's malloc_trim(3) and mallopt(3); other C libraries have none, and keep less
_trim = getattr(_libc, "malloc_trim", None)
_option = getattr(_libc, "mallopt", None)
#: mallopt's parameters (malloc.h of glibc)
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
#: bytes from which on a block is mapped by itself, and unmapped when it is freed
_LARGE = 1 << 17


def keep_few_heaps() -> None:
    """Have the threads beside the first share a heap, large arrays not in it; before there are any.

    By itself glibc gives each thread a heap of its own, each as large as its thread ever needed
    and in fragments after; and once a large block was freed it takes the next ones from there. That
    of the first thread cannot grow where address space is limited; the other's is set aside.
    """
    if _option is not None:
        _option(_ARENA_MAX, 2)
        _option(_MMAP_THRESHOLD, _LARGE)


def trim() -> None:
    """Free pages in the middle of the heaps too (glibc 2.8 and later): some milliseconds."""
    if _trim is not None:
        _trim(0)
