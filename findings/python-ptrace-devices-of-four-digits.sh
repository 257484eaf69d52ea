#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# python-ptrace cannot read the mappings of a process that maps a file of the host's 4,096th file system.
#
# Seen:     python-ptrace 0.9.9. readMappings() raises "Unable to parse memory mapping" for the whole process as soon
#           as one mapped file lies on a device whose minor number has four hexadecimal digits; with three it works.
# Expected: /proc/PID/maps shows devices as %02x:%02x (fs/proc/task_mmu.c): at least two digits each, and as many as
#           it takes, since a minor number has 20 bits. File systems without a disk (tmpfs, overlay, proc) take the
#           lowest minor that is free on the host, whichever namespace mounts them. A node with many containers,
#           each of which has a dozen, comes to 4,096, and then it depends on when a container was started whether
#           its processes can be read.
# Why:      ptrace/debugger/memory_mapping.py expects two or three digits ([0-9a-f]{2,3}).
# Way out:  read the file oneself: fields are separated by blanks, the numbers of the device by a colon.
#
# Needs root (unshare and mount), Python 3.11 or later with venv, and some seconds for 4,096 mounts, which are gone
# with their namespace.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check python-ptrace==0.9.9 2>pip.log ||
	{ cat pip.log >&2; exit 1; }
cat >ask.py <<'PYTHON'
import ctypes
import mmap
import os
import subprocess
import sys

from ptrace.debugger import PtraceDebugger
from ptrace.debugger.process_error import ProcessError

CHILD = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 4096)
print("mapped", flush=True)
sys.stdin.read()
"""


#: the program mount reads all that is mounted each time
LIBC = ctypes.CDLL(None, use_errno=True)


def mounted(number: int) -> str:
    """A page of a file in a new tmpfs."""
    point = f"mnt/{number}"
    os.makedirs(point)
    if LIBC.mount(b"none", point.encode(), b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    with open(f"{point}/page", "wb") as file:
        file.write(bytes(mmap.PAGESIZE))
    return f"{point}/page"


def read(path: str) -> str:
    """What python-ptrace says of a process that maps `path`, beside the kernel's line."""
    command = [sys.executable, "-c", CHILD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with open(f"/proc/{child.pid}/maps") as maps:
            device = next(line.split()[3] for line in maps if "/page" in line)
        traced = PtraceDebugger().addProcess(child.pid, is_attached=False)
        try:
            seen = traced.readMappings()
            said = "read" if any("/page" in str(one.pathname) for one in seen) else "not there"
        except ProcessError as error:
            said = str(error).split(":")[0]
        traced.detach()
        child.stdin.close()
    print(f"the kernel shows {device.split(':')[0]}:{'x' * len(device.split(':')[1])}, python-ptrace: {said}")
    return said


def minor(path: str) -> int:
    return os.minor(os.stat(path).st_dev)


number = 0
path = mounted(number)
while minor(path) < 0x100:
    number += 1
    path = mounted(number)
three = read(path) if minor(path) < 0x1000 else "read"
while minor(path) < 0x1000:
    number += 1
    path = mounted(number)
four = read(path)
sys.exit(not (three == "read" and four == "Unable to parse memory mapping"))
PYTHON
unshare --mount venv/bin/python ask.py >out 2>err || { cat out err >&2; exit 1; }
cat out
