# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Keeping freed memory in the process, so that NumPy's temporaries are not faulted in each time."""

from __future__ import annotations

import contextlib
import ctypes

# mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let malloc keep up to 16 MiB of freed memory and serve arrays up to 4 MiB from the heap.

    By default glibc gives arrays above 128 KiB back to the kernel and faults them in again at the
    next use: that doubled the time of parsing maps (6.18, 60,000 lines: 290 against 115 ns per
    line). Of the whole process; does nothing with another libc.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 4 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)
