# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Has a process's mmap_lock held: ``unshare --mount python holder.py FOLDER HELD``.

HELD is held.c; it maps a file of a FUSE file system that is made here (linux/fuse.h). A page fault
that has to read drops mmap_lock and is tried again (mm/filemap.c, maybe_unlock_mmap_for_io); the
second time it keeps the lock while it waits, so the first read fails and the second is never
answered. Another thread maps something: a writer that waits, behind which no reader gets the lock.
(A fault on userfaultfd does not do: handle_userfault() lets go of mmap_lock before it sleeps.)

Prints HELD's pid once that is so; ends HELD when stdin ends.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

PAGE = mmap.PAGESIZE
LOOKUP, FORGET, GETATTR, OPEN, READ, INIT = 1, 2, 3, 14, 15, 26
_IN, _OUT = struct.Struct("IIQQIIII"), struct.Struct("IiQ")
_ATTR = struct.Struct("6Q10I")


def attributes(node: int) -> bytes:
    """struct fuse_attr: 1 is the directory, 2 the file in it."""
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o644
    size = PAGE if node == 2 else 0
    return _ATTR.pack(node, size, 1, *(0,) * 6, mode, 1, 0, 0, 0, PAGE, 0)


def serve(device: int, held: threading.Event) -> None:
    """Answer requests, but for the read that holds the lock."""
    failed = False
    while True:
        request = os.read(device, 1 << 17)
        _, operation, unique, node, *_ = _IN.unpack_from(request)
        answer, error = b"", 0
        if operation == INIT:
            answer = struct.pack("IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, PAGE, 1, 0, 0, 0, *(0,) * 7)
        elif operation == LOOKUP:
            answer = struct.pack("QQQQII", 2, 0, 60, 60, 0, 0) + attributes(2)
        elif operation == GETATTR:
            answer = struct.pack("QII", 60, 0, 0) + attributes(node)
        elif operation == OPEN:
            answer = struct.pack("QII", 0, 0, 0)
        elif operation == FORGET:
            continue
        elif operation == READ:
            if failed:
                held.set()
                continue
            failed, error = True, -errno.EIO
        else:
            error = -errno.ENOSYS
        os.write(device, _OUT.pack(_OUT.size + len(answer), error, unique) + answer)


def waits_to_write(pid: int) -> bool:
    """Whether its main thread, which reads stdin or maps, sleeps where no signal wakes it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("D")


def main(folder: str, held_program: str) -> None:
    """Mount, have it mapped and touched; in a mount namespace that nobody else is in."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"held", folder.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    held = threading.Event()
    threading.Thread(target=serve, args=(device, held), daemon=True).start()
    target = subprocess.Popen([held_program, f"{folder}/file"], stdin=subprocess.PIPE)
    assert target.stdin is not None
    held.wait(60)
    target.stdin.write(b"w")
    target.stdin.flush()
    while not waits_to_write(target.pid):
        time.sleep(0.01)
    print(target.pid, flush=True)
    sys.stdin.read()
    target.kill()
    # what it waits for no signal ends (fs/fuse/dev.c, request_wait_answer), but our end does
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
