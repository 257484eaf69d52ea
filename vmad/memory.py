# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How the C library keeps memory: little, and it gives back after something large."""

from __future__ import annotations

import ctypes

_LIBRARY = ctypes.CDLL(None)
#: glibc's malloc_trim(3); other C libraries have none, and keep less
_trim = getattr(_LIBRARY, "malloc_trim", None)


def give_back() -> None:
    """Free pages in the middle of the heaps too (glibc 2.8 and later): some milliseconds."""
    if _trim is not None:
        _trim(0)
