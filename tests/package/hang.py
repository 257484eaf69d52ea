# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs in the guest: stops one thread of a process and holds it, as a read that blocks would.

``hang.py PID NAME`` prints a line when the thread called NAME stands still, and ends when
the process does.
"""

import ctypes
import os
import sys
from pathlib import Path

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long

threads = Path(f"/proc/{sys.argv[1]}/task")
(thread,) = [
    int(one.name) for one in threads.iterdir() if (one / "comm").read_text().strip() == sys.argv[2]
]
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, thread, None, None):
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
os.waitpid(thread, WALL)
print("stopped", flush=True)
# a thread that dies while it is traced is its tracer's to reap, and its process waits for that
os.waitpid(thread, WALL)
