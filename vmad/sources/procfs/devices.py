# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which device numbers in maps mean shared memory: tmpfs and hugetlbfs, mounted or internal."""

from __future__ import annotations

import contextlib
import mmap
import re

import numpy as np
import numpy.typing as npt

#: mountinfo(5): MAJOR:MINOR is field 3, the type is the first field after " - "
_MOUNT = re.compile(rb"^\d+ \d+ (\d+):(\d+) .*? - (\S+) ", re.MULTILINE)
_TYPES = (b"tmpfs", b"hugetlbfs")


def mounted(mountinfo: bytes) -> set[int]:
    """Device numbers (MAJOR << 20 | MINOR) of the tmpfs and hugetlbfs mounts in a mountinfo."""
    return {
        int(major) << 20 | int(minor)
        for major, minor, kind in _MOUNT.findall(mountinfo)
        if kind in _TYPES
    }


def internal(proc: str = "/proc") -> set[int]:
    """The device of the kernel's own tmpfs, behind memfd, SysV and MAP_SHARED|MAP_ANONYMOUS.

    No file names it; a page of it mapped into ourselves shows it. Empty where ``proc`` does not
    show ourselves.
    """
    with mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as ours:
        ours[0] = 1
        with contextlib.suppress(OSError), open(f"{proc}/self/maps", "rb") as file:
            return {
                int(field[3].split(b":")[0], 16) << 20 | int(field[3].split(b":")[1], 16)
                for line in file
                if line.endswith(b" /dev/zero (deleted)\n")
                and (field := line.split())[1][3:] == b"s"
            }
    return set()


def shared_memory_devices(proc: str = "/proc") -> npt.NDArray[np.uint64]:
    """Device numbers whose files are shared memory, ascending, uint64.

    Mounts of other mount namespaces are not among them: maps' path prefixes stand in for those
    (/dev/shm/, see :mod:`vmad.sources.procfs.maps`).
    """
    devices = internal(proc)
    with contextlib.suppress(OSError), open(f"{proc}/self/mountinfo", "rb") as file:
        devices |= mounted(file.read())
    return np.array(sorted(devices), np.uint64)
