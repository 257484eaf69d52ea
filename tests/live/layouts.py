# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Named VMA layouts, each made by real system calls; runs inside the target child of targets.py.

Imports nothing of vmad. Every layout stands alone, 1 GiB apart from the others and far below the
kernel's own mmap area, so no allocation of the interpreter can touch it. Unless a layout says
otherwise, A is the lower half and B the upper half of 2 * SIDE pages.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from typing import Any

PAGE = mmap.PAGESIZE
SIDE = 4  #: pages of each half
HALF = SIDE * PAGE
BASE = 0x2000_0000_0000
STRIDE = 1 << 30

NONE, READ, WRITE = 0, 1, 2
RW = READ | WRITE
SHARED, PRIVATE, FIXED_NOREPLACE, ANON, NORESERVE = 1, 2, 0x100000, 0x20, 0x4000
MADV_NORMAL, MADV_RANDOM, MADV_DONTDUMP, MADV_MERGEABLE, MADV_HUGEPAGE = 0, 1, 16, 12, 14
MADV_NOHUGEPAGE = 15
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
PR_SET_MEMORY_MERGE, PR_SET_VMA, PR_SET_VMA_ANON_NAME = 67, 0x53564D41, 0
MPOL_BIND = 2
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
UFFD_USER_MODE_ONLY = 1
SYS_MBIND, SYS_USERFAULTFD = {"x86_64": (237, 323), "aarch64": (235, 282)}[os.uname().machine]

with open("/proc/cpuinfo", encoding="ascii", errors="replace") as _file:
    #: 64-bit Arm with memory tags: /dev/zero alone may not have them
    MEMORY_TAGS = any(line.startswith("Features") and " mte" in line for line in _file)

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] * 2, ctypes.c_int, ctypes.c_void_p]
for _name in ("munmap", "mprotect", "madvise", "mlock2"):
    getattr(libc, _name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long

Report = dict[str, Any]


def checked(result: int | None, what: str) -> int:
    """The result of a system call, or OSError with its errno."""
    if result is None or result == -1 or result == ctypes.c_size_t(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mapped(at: int, size: int, prot: int = RW, flags: int = 0, fd: int = -1) -> int:
    """A private mapping at exactly ``at``: anonymous, or of ``fd``."""
    kind = 0 if fd >= 0 or flags & SHARED else PRIVATE
    kind |= PRIVATE if fd >= 0 and not flags & SHARED else 0
    kind |= ANON if fd < 0 else 0
    return checked(libc.mmap(at, size, prot, kind | flags | FIXED_NOREPLACE, fd, 0), "mmap")


def protect(at: int, size: int, prot: int) -> None:
    checked(libc.mprotect(at, size, prot), "mprotect")


def advise(at: int, size: int, advice: int) -> None:
    checked(libc.madvise(at, size, advice), "madvise")


def move(source: int, to: int, size: int, flags: int = 0) -> None:
    how = MREMAP_MAYMOVE | MREMAP_FIXED | flags
    checked(libc.mremap(source, size, size, how, to), "mremap")


def write(at: int, pages: int = SIDE) -> None:
    """Fault pages in for writing: this gives the VMA its anon_vma."""
    for page in range(pages):
        ctypes.c_ubyte.from_address(at + page * PAGE).value = 1


def read(at: int, pages: int = SIDE) -> None:
    """Fault pages in for reading only: maps the zero page, no anon_vma."""
    for page in range(pages):
        _ = ctypes.c_ubyte.from_address(at + page * PAGE).value


def faulted_apart_halves(at: int) -> None:
    """Two VMAs with anon_vmas of their own: touched while a hint differed, which is then undone."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, MADV_RANDOM)
    write(at)
    write(at + HALF)
    advise(at + HALF, HALF, MADV_NORMAL)


def forked(body: Callable[[], Report], at: int, size: int = 2 * HALF) -> Report:
    """Fork; the child runs ``body`` and waits for our end. Its pid is the one reported."""
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(down_write)
        try:
            body()
            os.write(up_write, b"ok")
        except OSError as error:
            os.write(up_write, str(error).encode())
        os.close(up_write)
        os.read(down_read, 1)  # ends when our parent does
        os._exit(0)
    os.close(down_read)
    os.close(up_write)
    answer = os.read(up_read, 1000).decode()
    os.close(up_read)
    if answer != "ok":
        raise OSError(0, f"in the forked child: {answer}")
    return {"start": at, "end": at + size, "pid": pid, "parent": os.getpid()}


def userfaultfd(at: int, size: int) -> int:
    """Register a range with a new userfaultfd for missing pages."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    fd: int = libc.syscall(SYS_USERFAULTFD, flags | UFFD_USER_MODE_ONLY, 0, 0, 0, 0, 0)
    if fd < 0:  # the flag is 5.11 (37cd0575b8510); before it, root needs none
        fd = checked(libc.syscall(SYS_USERFAULTFD, flags, 0, 0, 0, 0, 0), "userfaultfd")
    fcntl.ioctl(fd, UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
    fcntl.ioctl(fd, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", at, size, 1, 0)))
    return fd


# --- the layouts: each gets a free address, and leaves [at, at + 2 * HALF) unless it reports other


def access_differs(at: int) -> Report | None:
    """Written as one VMA, then split by mprotect: same anon_vma, only access differs."""
    mapped(at, 2 * HALF)
    write(at, 2 * SIDE)
    protect(at + HALF, HALF, READ)
    return None


def guard_pages(at: int, pairs: int = 10) -> Report | None:
    """``pairs`` times one rw page below one page without access; 2 * pairs VMAs, untouched."""
    mapped(at, 2 * pairs * PAGE)
    for index in range(pairs):
        protect(at + (2 * index + 1) * PAGE, PAGE, NONE)
    return {"start": at, "end": at + 2 * pairs * PAGE}


def moved_beside_unfaulted(at: int) -> Report | None:
    """B was written elsewhere and moved behind A, which never was: only vm_pgoff breaks."""
    mapped(at, HALF)
    mapped(at + STRIDE // 2, HALF)
    write(at + STRIDE // 2)
    move(at + STRIDE // 2, at + HALF, HALF)
    return None


def moved_beside_faulted(at: int) -> Report | None:
    """The same, A written too: vm_pgoff breaks and the anon_vmas differ."""
    mapped(at, HALF)
    write(at)
    mapped(at + STRIDE // 2, HALF)
    write(at + STRIDE // 2)
    move(at + STRIDE // 2, at + HALF, HALF)
    return None


def halves_swapped(at: int) -> Report | None:
    """Halves of one written VMA moved elsewhere in reverse order: same anon_vma, vm_pgoff."""
    old = at + STRIDE // 2
    mapped(old, 2 * HALF)
    write(old, 2 * SIDE)
    move(old + HALF, at, HALF)
    move(old, at + HALF, HALF)
    return None


def faulted_apart(at: int) -> Report | None:
    """All alike but the anon_vma: each half has its own, exclusive."""
    faulted_apart_halves(at)
    return None


def hole_filled(at: int) -> Report | None:
    """A and C written apart, the hole between them mapped: it joins one, the other stays blocked.

    Which one differs by release (6.1: C, 6.18: A): the boundary is not the reported one.
    """
    mapped(at, HALF)
    write(at)
    mapped(at + 2 * HALF, HALF)
    write(at + 2 * HALF)
    mapped(at + HALF, HALF)
    return {"start": at, "end": at + 3 * HALF}


def hint_differs(at: int) -> Report | None:
    """B is MADV_DONTDUMP (dd); never touched."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, MADV_DONTDUMP)
    return None


def hint_differs_written(at: int) -> Report | None:
    """B is MADV_DONTDUMP (dd); both halves written, so alike to maps and faulted to pagemap."""
    hint_differs(at)
    write(at, 2 * SIDE)
    return None


def read_faulted(at: int) -> Report | None:
    """A written; B only read (zero page) and MADV_RANDOM (rr): B has no anon_vma."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, MADV_RANDOM)
    write(at)
    read(at + HALF)
    return None


def hugepage_hint(at: int) -> Report | None:
    """B is MADV_HUGEPAGE (hg)."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, MADV_HUGEPAGE)
    return None


def noreserve(at: int) -> Report | None:
    """B is MAP_NORESERVE: nr and ac differ (with overcommit_memory other than 2)."""
    mapped(at, HALF)
    mapped(at + HALF, HALF, flags=NORESERVE)
    return None


def mempolicy(at: int) -> Report | None:
    """B is bound to node 0 by mbind; A has no policy."""
    mapped(at, 2 * HALF)
    mask = ctypes.c_ulong(1)
    place = ctypes.addressof(mask)
    checked(libc.syscall(SYS_MBIND, at + HALF, HALF, MPOL_BIND, place, 64, 0), "mbind")
    return None


def uffd(at: int) -> Report | None:
    """B is registered with a userfaultfd, A is not."""
    mapped(at, 2 * HALF)
    userfaultfd(at + HALF, HALF)
    return None


def uffd_two(at: int) -> Report | None:
    """A and B are registered with two userfaultfds: only the contexts differ."""
    mapped(at, 2 * HALF)
    userfaultfd(at, HALF)
    userfaultfd(at + HALF, HALF)
    return None


def uffd_forked(at: int) -> Report:
    """Seen in a fork child, which loses the userfaultfd of B: latent, both untouched."""
    uffd(at)
    return forked(dict, at)


def mlock_forked(at: int) -> Report:
    """Seen in a fork child, which loses VM_LOCKED of B: latent, both untouched."""
    mapped(at, 2 * HALF)
    checked(libc.mlock2(at + HALF, HALF, 1), "mlock2")
    return forked(dict, at)


def fork_child_fresh(at: int) -> Report:
    """In a fork child: A inherited and written (chain longer than one), B mapped afresh."""
    mapped(at, HALF)
    write(at)

    def body() -> Report:
        mapped(at + HALF, HALF)
        return {}

    return forked(body, at)


def faulted_apart_forked(at: int) -> Report:
    """As faulted_apart, then forked: shared by fork on both sides, in parent and child."""
    faulted_apart_halves(at)
    return forked(dict, at)


def memory_merge(at: int) -> Report:
    """A fork child whose A was MADV_MERGEABLE; PR_SET_MEMORY_MERGE evens B: latent (6.4+, KSM)."""

    def body() -> Report:
        mapped(at, 2 * HALF)
        advise(at, HALF, MADV_MERGEABLE)
        checked(libc.prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0), "PR_SET_MEMORY_MERGE")
        return {}

    return forked(body, at)


def dontunmap(at: int) -> Report | None:
    """faulted_apart, then B emptied by MREMAP_DONTUNMAP: it lost its anon_vma, latent (6.1+)."""
    faulted_apart_halves(at)
    move(at + HALF, at + STRIDE // 2, HALF, MREMAP_DONTUNMAP)
    return None


def emptied(at: int) -> Report | None:
    """faulted_apart after MADV_DONTNEED on both: no pages left, the anon_vmas still differ."""
    faulted_apart_halves(at)
    advise(at, 2 * HALF, 4)
    return None


def named(at: int, a: str = "", b: str = "b") -> Report | None:
    """A and B named by PR_SET_VMA_ANON_NAME ("" = no name); EINVAL without CONFIG_ANON_VMA_NAME."""
    mapped(at, 2 * HALF)
    for place, name in ((at, a), (at + HALF, b)):
        if name:
            text = ctypes.create_string_buffer(name.encode())
            where = ctypes.addressof(text)
            args = (PR_SET_VMA, PR_SET_VMA_ANON_NAME, place, HALF, where)
            checked(libc.prctl(*args), "PR_SET_VMA_ANON_NAME")
    return None


def dev_zero(at: int) -> Report | None:
    """A anonymous, B a private mapping of /dev/zero: anonymous memory with a vm_file."""
    mapped(at, HALF)
    fd = os.open("/dev/zero", os.O_RDWR)
    mapped(at + HALF, HALF, fd=fd)
    os.close(fd)
    return None


def shared(at: int) -> Report | None:
    """One MAP_SHARED|MAP_ANONYMOUS mapping: shared memory, no pair."""
    mapped(at, 2 * HALF, flags=SHARED)
    return None


def memfd(at: int, name: str = "target") -> Report | None:
    """A private mapping of a memfd: shared memory by kind, no pair."""
    fd = os.memfd_create(name)
    os.ftruncate(fd, 2 * HALF)
    mapped(at, 2 * HALF, fd=fd)
    os.close(fd)
    return None


def file(at: int, path: str = "", deleted: bool = False) -> Report | None:
    """A private mapping of a file made at ``path``, unlinked again when ``deleted``."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 2 * HALF)
    mapped(at, 2 * HALF, fd=fd)
    os.close(fd)
    if deleted:
        os.unlink(path)
    return None


def one(
    at: int, pages: int = 2 * SIDE, written: int = 0, prot: int = RW, small: bool = False
) -> Report | None:
    """One VMA of ``pages`` pages whose first ``written`` pages are written; ``small``: no THP."""
    mapped(at, pages * PAGE, RW)
    if small:
        libc.madvise(at, pages * PAGE, MADV_NOHUGEPAGE)  # EINVAL where the kernel has no THP
    write(at, written)
    protect(at, pages * PAGE, prot)
    return {"start": at, "end": at + pages * PAGE}


def hole_between(at: int) -> Report | None:
    """Two VMAs with a page between them: not a pair."""
    mapped(at, 2 * HALF)
    checked(libc.munmap(at + HALF - PAGE, PAGE), "munmap")
    return None


LAYOUTS: dict[str, Callable[..., Report | None]] = {
    layout.__name__: layout
    for layout in (
        access_differs, guard_pages, moved_beside_unfaulted, moved_beside_faulted, halves_swapped,
        faulted_apart, hole_filled, hint_differs, hint_differs_written, read_faulted,
        hugepage_hint, noreserve, mempolicy, uffd, uffd_two, uffd_forked, mlock_forked,
        fork_child_fresh, faulted_apart_forked, memory_merge, dontunmap, emptied, named, dev_zero,
        shared, memfd, file, one, hole_between,
    )
}  # fmt: skip
