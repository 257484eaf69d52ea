# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The system calls that conditions are built with; a refusal is an OSError."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import time

from vmad.architecture.known import needed

PAGE = mmap.PAGESIZE
HALF = 4 * PAGE
#: A is [BASE, B), B is [B, END): far from the kernel's own area, nothing else is a neighbour; some
#: arm64 kernels have addresses of 39 bits
BASE = 0x20_0000_0000
B = BASE + HALF
END = B + HALF
ELSEWHERE = BASE + (1 << 30)

NONE, READ, WRITE = 0, 1, 2
RW = READ | WRITE
PRIVATE, DROPPABLE, ANON, FIXED_NOREPLACE = 2, 8, 0x20, 0x100000
GROWSDOWN, NORESERVE, STACK = 0x100, 0x4000, 0x20000
_MAYMOVE_FIXED, _DONTUNMAP = 3, 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = _libc.mremap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mremap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] * 2, ctypes.c_int, ctypes.c_void_p]
for _name in ("mprotect", "madvise"):
    getattr(_libc, _name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_libc.syscall.argtypes = [ctypes.c_long] * 7
_libc.syscall.restype = ctypes.c_long
_ERROR = ctypes.c_size_t(-1).value


def _checked(result: int | None, what: str) -> int:
    if result is None or result in (-1, _ERROR):
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def system_call(name: str, *arguments: int) -> int:
    """A call that the C library may lack. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    calls = needed(os.uname().machine, "selfcheck").calls
    return _checked(_libc.syscall(getattr(calls, name), *padded), name)


def map_memory(at: int, size: int, prot: int = RW, flags: int = PRIVATE, fd: int = -1) -> None:
    """A mapping at exactly ``at``."""
    kind = flags | FIXED_NOREPLACE | (ANON if fd < 0 else 0)
    _checked(_libc.mmap(at, size, prot, kind, fd, 0), "mmap")


def protect(at: int, size: int, prot: int) -> None:
    """mprotect."""
    _checked(_libc.mprotect(at, size, prot), "mprotect")


def advise(at: int, size: int, advice: int) -> None:
    """madvise."""
    _checked(_libc.madvise(at, size, advice), "madvise")


def move(source: int, to: int, size: int, keep: bool = False) -> None:
    """mremap; ``keep``: MREMAP_DONTUNMAP."""
    flags = _MAYMOVE_FIXED | (_DONTUNMAP if keep else 0)
    _checked(_libc.mremap(source, size, size, flags, to), "mremap")


def lock_on_fault(at: int, size: int) -> None:
    """mlock2(MLOCK_ONFAULT)."""
    system_call("mlock2", at, size, 1)


def control(option: int, *arguments: int) -> None:
    """prctl."""
    _checked(_libc.prctl(option, *(*arguments, 0, 0, 0, 0)[:4]), "prctl")


def name_memory(at: int, size: int, name: bytes) -> None:
    """PR_SET_VMA_ANON_NAME."""
    text = ctypes.create_string_buffer(name)
    control(0x53564D41, 0, at, size, ctypes.addressof(text))


def bind(at: int, size: int) -> None:
    """mbind to node 0."""
    mask = ctypes.c_ulong(1)
    system_call("mbind", at, size, 2, ctypes.addressof(mask), 64, 0)


def write(at: int, size: int = HALF) -> None:
    """Fault pages in for writing: gives the VMA its anon_vma."""
    for page in range(at, at + size, PAGE):
        ctypes.c_ubyte.from_address(page).value = 1


def watch(at: int, size: int, mode: int) -> None:
    """Register with a new userfaultfd: mode 1 missing pages, 2 write protection."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK | 1  # UFFD_USER_MODE_ONLY
    fd = system_call("userfaultfd", flags)
    fcntl.ioctl(fd, 0xC018AA3F, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))  # UFFDIO_API
    fcntl.ioctl(fd, 0xC020AA00, bytearray(struct.pack("QQQQ", at, size, mode, 0)))


def go_on_in_child() -> None:
    """Fork: the parent waits to be killed, the child goes on."""
    if os.fork():
        while True:
            os.wait()


def go_on_alone() -> None:
    """Fork: the parent ends, the child goes on and makes every page of the pair its own."""
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
    write(BASE, END - BASE)
