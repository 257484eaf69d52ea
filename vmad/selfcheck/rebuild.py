# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A rebuild of the pair in the process that has it: its pages go to an area that takes its place.

As examples/rebuild does it, without its care: nobody else runs in this process, and nothing that
it needs lies in the pair.
"""

from __future__ import annotations

import fcntl
import os
import struct

from vmad.selfcheck.calls import (
    BASE,
    ELSEWHERE,
    END,
    HALF,
    B,
    advise,
    map_memory,
    move,
    system_call,
    write,
)

_FRESH = ELSEWHERE + (1 << 30)
#: include/uapi/linux/userfaultfd.h
_API, _REGISTER, _UNREGISTER, _MOVE = 0xC018AA3F, 0xC020AA00, 0x8010AA01, 0xC028AA05
_HAS_MOVE, _MISSING, _ALLOW_HOLES = 1 << 16, 1, 2
_USER_MODE_ONLY = 1
_DONTNEED = 4


def rebuild() -> None:
    """Make [BASE, END) one VMA. Raises OSError: EINVAL before 6.8, EBUSY for a page of others."""
    fd = system_call("userfaultfd", os.O_CLOEXEC | _USER_MODE_ONLY)
    try:
        fcntl.ioctl(fd, _API, bytearray(struct.pack("QQQ", 0xAA, _HAS_MOVE, 0)))
        # written to, so that it has an anon_vma whose offset is its own; then emptied
        map_memory(_FRESH, END - BASE)
        write(_FRESH, END - BASE)
        advise(_FRESH, END - BASE, _DONTNEED)
        for start, size in ((_FRESH, END - BASE), (BASE, HALF), (B, END - B)):
            fcntl.ioctl(fd, _REGISTER, bytearray(struct.pack("4Q", start, size, _MISSING, 0)))
        for start in (BASE, B):
            to = _FRESH + start - BASE
            order = struct.pack("5Q", to, start, HALF, _ALLOW_HOLES, 0)
            fcntl.ioctl(fd, _MOVE, bytearray(order))
        fcntl.ioctl(fd, _UNREGISTER, struct.pack("2Q", _FRESH, END - BASE))
        move(_FRESH, BASE, END - BASE)
    finally:
        os.close(fd)
