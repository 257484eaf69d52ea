# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kinds of VMA: what a process's map_count is made of."""

from enum import IntEnum


class Kind(IntEnum):
    """One kind per VMA, told alike by both evidences; the numbers are shared with walk.bpf.c.

    Order of the tests: a file decides first, then vm_ops (special), then heap, stack, access.
    A private mapping of /dev/zero has a vm_file but no vm_ops: it is anonymous memory
    (drivers/char/mem.c, mmap_zero) and is classified as such.
    """

    ANON_WRITABLE = 0
    ANON_NO_ACCESS = 1  #: neither r, w nor x: guard pages, reserved address space
    ANON_OTHER = 2  #: read-only or executable only
    HEAP = 3  #: [heap]: touches mm->start_brk..brk
    STACK = 4  #: [stack] of the main thread
    FILE = 5
    FILE_DELETED = 6  #: a file that is no longer linked (" (deleted)" in maps), not on tmpfs
    SHARED_MEMORY = 7  #: tmpfs or hugetlbfs: shm, memfd, SysV, MAP_SHARED|MAP_ANONYMOUS
    SPECIAL = 8  #: vdso, vvar, driver mappings without a file


KIND_COUNT = len(Kind)

#: label value of each kind in metrics and JSON
KIND_NAMES: dict[Kind, str] = {kind: kind.name.lower() for kind in Kind}

KIND_TEXT: dict[Kind, str] = {
    Kind.ANON_WRITABLE: "anonymous, writable",
    Kind.ANON_NO_ACCESS: "anonymous, no access",
    Kind.ANON_OTHER: "anonymous, other",
    Kind.HEAP: "heap",
    Kind.STACK: "stack",
    Kind.FILE: "file",
    Kind.FILE_DELETED: "deleted file",
    Kind.SHARED_MEMORY: "shared memory",
    Kind.SPECIAL: "special",
}
