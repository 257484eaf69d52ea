# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where the target's own code has the instructions that we need, so that none is written to it.

Two places: ``syscall`` followed by a return, and the call of rt_sigreturn that every C library
and the Go runtime have for their signal handlers. With the second, a thread whose tracer died in
the middle of an injection restores itself (see :mod:`vmad.architecture.borrowing`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass

from vmad.errors import VmadError
from vmad.probe.processor import borrowing_here
from vmad.sources.procfs.living import place_by
from vmad.sources.procfs.stat import read_stat

#: text that is searched at most; a C library has 2 MB, a large Go program 60 MB
_SEARCHED = 256 << 20
_PIECE = 4 << 20
_OVERLAP = 16
_TRIES, _PAUSE = 4, 0.01  #: seconds

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


for _name in ("process_vm_readv", "process_vm_writev"):
    getattr(_libc, _name).restype = ctypes.c_ssize_t
    getattr(_libc, _name).argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong,
        ctypes.c_ulong,
    ]  # fmt: skip


class NoGadget(VmadError):
    """The target's code lacks the instructions; nothing was stopped."""


@dataclass(frozen=True, slots=True)
class Gadgets:
    """Addresses in the target, and the bytes that must still be there."""

    call: int
    call_bytes: bytes
    sigreturn: int
    sigreturn_bytes: bytes

    def still_there(self, tid: int) -> bool:
        """Whether both are, in this thread's memory: an exec would have put other code there."""
        try:
            return (
                read_memory(tid, self.call, len(self.call_bytes)) == self.call_bytes
                and read_memory(tid, self.sigreturn, len(self.sigreturn_bytes))
                == self.sigreturn_bytes
            )
        except OSError:
            return False


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of another process (process_vm_readv(2)); ``pid`` is any thread of it that lives.

    Raises OSError, also on a short read.
    """
    buffer = ctypes.create_string_buffer(size)
    _transfer(_libc.process_vm_readv, pid, ctypes.addressof(buffer), address, size)
    return buffer.raw


def write_memory(pid: int, address: int, content: bytes) -> None:
    """Write to another process (process_vm_writev(2)): honours its access rights."""
    buffer = ctypes.create_string_buffer(content, len(content))
    _transfer(_libc.process_vm_writev, pid, ctypes.addressof(buffer), address, len(content))


def _transfer(call: ctypes._NamedFuncPointer, pid: int, here: int, there: int, size: int) -> None:
    local, remote = _Iovec(here, size), _Iovec(there, size)
    done = call(pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
    if done != size:
        number = ctypes.get_errno() if done < 0 else 14  # EFAULT: only a part could be moved
        raise OSError(number, os.strerror(number))


def find_gadgets(pid: int, proc: str = "/proc") -> Gadgets:
    """Search the executable mappings. Raises NoGadget, OSError (maps or memory not readable).

    A process that was just starting another program may have nothing mapped yet: tried again.
    """
    for _ in range(_TRIES):
        with suppress(NoGadget):
            return _search(pid, proc)
        time.sleep(_PAUSE)
    return _search(pid, proc)


def _search(pid: int, proc: str) -> Gadgets:
    call: tuple[int, bytes] | None = None
    back: tuple[int, bytes] | None = None
    left = _SEARCHED
    borrowing = borrowing_here()
    place = place_by(read_stat(pid, proc), pid, proc)
    if place is None:
        raise ProcessLookupError(errno.ESRCH, "its address space is gone")
    for start, end in _executable(place.directory, proc):
        at = start
        while at < end and left > 0 and (call is None or back is None):
            size = min(_PIECE, end - at)
            try:
                text = read_memory(place.tid, at, size)
            except OSError as error:
                if error.errno not in (5, 14):  # EIO, EFAULT: a hole in a file, execute-only
                    raise
                break
            left -= size
            call = call or _first(borrowing.call, text, at, borrowing.alignment)
            back = back or _first(borrowing.sigreturn, text, at, borrowing.alignment)
            at += size if size <= _OVERLAP or at + size == end else size - _OVERLAP
    if call is None or back is None:
        raise NoGadget(
            f"process {pid}: its code has no {'system call' if call is None else 'rt_sigreturn'} "
            "to borrow",
            "without it the process could not be left intact if the probe were killed",
        )
    return Gadgets(*call, *back)


def _first(
    pattern: re.Pattern[bytes], text: bytes, at: int, alignment: int
) -> tuple[int, bytes] | None:
    places = (match for match in pattern.finditer(text) if not (at + match.start()) % alignment)
    match = next(places, None)
    return None if match is None else (at + match.start(), match.group())


def _executable(place: str, proc: str) -> list[tuple[int, int]]:
    """(start, end) of readable executable mappings, the C library and the vdso first."""
    ranges = []
    with open(f"{proc}/{place}/maps", "rb") as file:
        for line in file:
            fields = line.split(None, 5)
            if fields[1][:1] != b"r" or fields[1][2:3] != b"x":
                continue
            name = fields[5] if len(fields) > 5 else b""
            if name.startswith(b"[vsyscall]"):
                continue
            likely = b"libc" in name or b"musl" in name
            start, end = (int(part, 16) for part in fields[0].split(b"-"))
            ranges.append((not likely, start, end))
    return [(start, end) for _, start, end in sorted(ranges)]
