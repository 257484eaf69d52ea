# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Gives memory back to the kernel after something large."""

from __future__ import annotations

import ctypes

#: glibc's malloc_trim(3); other C libraries have none, and keep less
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Free pages in the middle of the heaps too (glibc 2.8 and later): some milliseconds."""
    if _trim is not None:
        _trim(0)
