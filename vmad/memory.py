# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How the C library keeps memory: little, and it gives back after something large."""

from __future__ import annotations

import ctypes

_LIBRARY = ctypes.CDLL(None)
#: glibc's malloc_trim(3) and mallopt(3); other C libraries have none, and keep less
_trim = getattr(_LIBRARY, "malloc_trim", None)
_option = getattr(_LIBRARY, "mallopt", None)
_ARENA_MAX = -8  # M_ARENA_MAX, malloc.h


def one_heap() -> None:
    """One for all threads instead of one each: what a thread frees serves the next one, and the
    interpreter lets only one at a time allocate anyway.
    """
    if _option is not None:
        _option(_ARENA_MAX, 1)


def give_back() -> None:
    """Free pages in the middle of the heaps too (glibc 2.8 and later): some milliseconds."""
    if _trim is not None:
        _trim(0)
