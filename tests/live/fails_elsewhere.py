# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process whose call fails far from vm.max_map_count: ``fails_elsewhere.py MODE``.

It says the name of the error and then waits for its input to end.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import sys
import threading

NOBODY = 65_534


def address_space() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
    return _mapped(1 << 30)


def commit() -> int:
    return _mapped(400 << 30)


def locked() -> int:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65_536, 65_536))
    os.setuid(NOBODY)
    libc = ctypes.CDLL(None, use_errno=True)
    area = mmap.mmap(-1, 1 << 20)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    failed = libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(1 << 20))
    return ctypes.get_errno() if failed else 0


def threads() -> int:
    resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
    os.setuid(NOBODY - 1)
    return tasks()


def tasks() -> int:
    """As many as it can, up to nine; a control group may hold it to fewer."""
    try:
        for _ in range(9):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    except RuntimeError:  # Python does not say which error it was
        return errno.EAGAIN
    return 0


def _mapped(size: int) -> int:
    try:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        return error.errno or 0
    return 0


MODES = {"as": address_space, "commit": commit, "memlock": locked, "nproc": threads, "tasks": tasks}

if __name__ == "__main__":
    failed = MODES[sys.argv[1]]()
    print(errno.errorcode.get(failed, "no error"), flush=True)
    sys.stdin.read()
