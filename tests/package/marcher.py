# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs in the guest: a process that goes towards vm.max_map_count by making guard pages.

``marcher.py march FROM SECONDS FILE``: from this share of the limit to ENOMEM, evenly; FILE gets a
line "SHARE TIME" for each hundredth and "ENOMEM TIME" at the end; then it stays as it is.
``marcher.py burst SHARE SECONDS``: there (which takes an emulator a second or two), stays for that
time, and back; then it stays.
"""

import ctypes
import mmap
import os
import signal
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PAGE = mmap.PAGESIZE
NONE, READ_WRITE, PRIVATE_ANONYMOUS = 0, 3, 0x22


def limit() -> int:
    with open("/proc/sys/vm/max_map_count") as file:
        return int(file.read())


def own() -> int:
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


class Pieces:
    """One mapping that is cut: each guard page makes two VMAs of one."""

    def __init__(self) -> None:
        self.size = 4 * limit() * PAGE
        self.start = libc.mmap(None, self.size, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)
        self.guards = 0
        self.before = own()

    @property
    def count(self) -> int:
        return self.before + 2 * self.guards

    def cut(self) -> bool:
        place = self.start + (2 * self.guards + 1) * PAGE
        if libc.mprotect(place, PAGE, NONE):
            return False
        self.guards += 1
        return True

    def drop(self) -> None:
        libc.munmap(self.start, self.size)


def march(start: float, seconds: float, path: str) -> None:
    pieces, most = Pieces(), limit()
    while pieces.count < start * most:
        pieces.cut()
    began, first = time.time(), pieces.count
    told = 0
    with open(path, "w", buffering=1) as file:
        while True:
            wanted = first + (most - first) * (time.time() - began) / seconds
            while pieces.count < min(wanted, most + 9):
                if not pieces.cut():
                    file.write(f"ENOMEM {time.time()}\n")
                    return
            share = int(100 * pieces.count / most)
            if share > told:
                told = share
                file.write(f"{share} {time.time()}\n")
            time.sleep(0.05)


def burst(share: float, seconds: float) -> None:
    pieces, most = Pieces(), limit()
    while pieces.count < share * most:
        pieces.cut()
    time.sleep(seconds)
    pieces.drop()


if sys.argv[1] == "march":
    march(float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
else:
    burst(float(sys.argv[2]), float(sys.argv[3]))
os.write(1, b"done\n")
signal.pause()
