# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What /proc/PID/pagemap tells of ranges: pages present, swapped, shared, and the zero page.

Entries are 64 bits (Documentation/admin-guide/mm/pagemap.rst): 63 present, 62 swapped, 61 file or
shared memory, 58 guard region (6.15+), 57 userfaultfd write-protected, 56 mapped by this process
only, 0..54 the page frame (0 without CAP_SYS_ADMIN). The zero page of a read fault is present with
neither 61 nor 56, as is a page shared with another process: to tell them apart takes
PAGEMAP_SCAN (6.7+) or the page frame.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vmad.model.kernel import KernelInfo, running_kernel
from vmad.model.process import ProcessId
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.rights import explained

PAGE_SHIFT = mmap.PAGESIZE.bit_length() - 1

PRESENT, SWAPPED, FILE = 1 << 63, 1 << 62, 1 << 61
GUARD, WRITE_PROTECTED, EXCLUSIVE = 1 << 58, 1 << 57, 1 << 56
FRAME = (1 << 55) - 1

#: one row per range: pages present, swapped out, present and shared with another process, and
#: present as the zero page; -1 where this kernel or our rights do not tell
PAGE_COUNTS = np.dtype([("present", "<i8"), ("swapped", "<i8"), ("shared", "<i8"), ("zero", "<i8")])

Entries = npt.NDArray[np.uint64]

_ENTRIES_PER_READ = 1 << 16
# PAGEMAP_SCAN: _IOWR('f', 16, struct pm_scan_arg), twelve 64-bit fields (uapi/linux/fs.h)
_PAGEMAP_SCAN = 0xC0606610
_PAGE_IS_PFNZERO = 1 << 5
_REGIONS = 512


def _has(entries: Entries, bits: int, of: int) -> npt.NDArray[np.bool_]:
    result: npt.NDArray[np.bool_] = (entries & np.uint64(of)) == np.uint64(bits)
    return result


def anonymous(entries: Entries) -> npt.NDArray[np.bool_]:
    """Entries that prove an anon_vma: an anonymous page of ours alone, or a swapped one.

    A swap entry with bit 57 may be an empty userfaultfd marker (6.4+), which proves nothing. A
    guard region is a marker too, but installing it makes an anon_vma (madvise_guard_install).
    """
    mine = _has(entries, PRESENT | EXCLUSIVE, PRESENT | EXCLUSIVE | FILE)
    return mine | _has(entries, SWAPPED, SWAPPED | PRESENT | FILE | WRITE_PROTECTED)


def _present_not_exclusive(entries: Entries) -> npt.NDArray[np.bool_]:
    return _has(entries, PRESENT, PRESENT | EXCLUSIVE | FILE)


@lru_cache(maxsize=1)
def zero_frame() -> int | None:
    """Page frame of the zero page, seen at a page of our own; None without CAP_SYS_ADMIN."""
    with mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        _ = page[0]  # a read fault
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        try:
            fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            raw = os.pread(fd, 8, (address >> PAGE_SHIFT) * 8)
        finally:
            os.close(fd)
    if len(raw) < 8:
        return None
    (entry,) = struct.unpack("<Q", raw)
    return entry & FRAME if entry & PRESENT and entry & FRAME else None


def surely_shared(entries: Entries, first_page: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Entries of anonymous pages that are surely mapped elsewhere too; ``first_page`` per entry.

    Needs page frames. The huge zero page keeps its frames aligned with the addresses, so what is
    aligned so is left undecided.
    """
    zero = zero_frame()
    frame = entries & np.uint64(FRAME)
    aligned = ((frame ^ first_page) & np.uint64(511)) == 0
    sure = _present_not_exclusive(entries) & (frame != 0) & ~aligned
    return sure & (frame != np.uint64(zero)) if zero is not None else np.zeros_like(sure)


def read_entries(fd: int, page: int, count: int) -> Entries:
    """``count`` entries from ``page`` on; beyond the end of the address space they are 0."""
    raw = os.pread(fd, count * 8, page * 8)
    entries = np.zeros(count, np.uint64)
    got = np.frombuffer(raw[: len(raw) // 8 * 8], "<u8")
    entries[: len(got)] = got
    return entries


def _zero_pages(fd: int, start: int, end: int) -> int | None:
    """Zero pages in the bytes [start, end) by PAGEMAP_SCAN; None before 6.7."""
    regions = (ctypes.c_uint64 * (3 * _REGIONS))()
    total = 0
    while start < end:
        argument = bytearray(
            struct.pack(
                "<12Q", 96, 0, start, end, 0, ctypes.addressof(regions), _REGIONS, 0,
                0, _PAGE_IS_PFNZERO, 0, _PAGE_IS_PFNZERO,
            )
        )  # fmt: skip
        try:
            filled = fcntl.ioctl(fd, _PAGEMAP_SCAN, argument)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                return None
            raise
        for index in range(filled):
            total += (regions[3 * index + 1] - regions[3 * index]) >> PAGE_SHIFT
        walked = struct.unpack_from("<Q", argument, 32)[0]
        if walked <= start:
            break
        start = walked
    return total


def _no_tick(_: object) -> None:
    pass


def page_counts(
    process: ProcessId,
    ranges: npt.NDArray[np.uint64],
    proc: str = "/proc",
    kernel: KernelInfo | None = None,
    tick: Callable[[ProcessId], None] = _no_tick,
) -> npt.NDArray[np.void]:
    """Pages of each range, dtype PAGE_COUNTS, shape (n,); ``ranges`` is (n, 2) of bytes.

    Meant for private anonymous memory. ``tick`` is called before each read, which may block (see
    :mod:`vmad.sources.bounded`). Before 6.7 a huge zero page counts as shared. Raises CannotRead
    with the missing capability, ProcessGone.
    """
    kernel = kernel or running_kernel(proc)
    counts = np.zeros(len(ranges), PAGE_COUNTS)
    tick(process)
    try:
        fd = os.open(f"{proc}/{place_of(process.pid, proc)}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for index, (start, end) in enumerate(np.asarray(ranges, np.uint64).tolist()):
                _count_range(fd, start, end, counts[index : index + 1], lambda: tick(process))
        finally:
            os.close(fd)
    except OSError as error:
        raise explained(error, process.pid, "pagemap", kernel) from error
    return counts


def _count_range(
    fd: int, start: int, end: int, row: npt.NDArray[np.void], tick: Callable[[], None]
) -> None:
    unsure = zero_by_frame = 0
    frames_seen = True
    frame_of_zero = zero_frame()
    first, last = start >> PAGE_SHIFT, end >> PAGE_SHIFT
    for page in range(first, last, _ENTRIES_PER_READ):
        tick()
        entries = read_entries(fd, page, min(_ENTRIES_PER_READ, last - page))
        row["present"] += np.count_nonzero(entries & np.uint64(PRESENT))
        row["swapped"] += np.count_nonzero(_has(entries, SWAPPED, SWAPPED | GUARD))
        other = entries[_present_not_exclusive(entries)] & np.uint64(FRAME)
        unsure += len(other)
        frames_seen &= bool(np.all(other != 0)) and frame_of_zero is not None
        zero_by_frame += int(np.count_nonzero(other == np.uint64(frame_of_zero or 0)))
    if not unsure:
        return
    tick()
    zero = _zero_pages(fd, start, end)
    if zero is None:
        zero = zero_by_frame if frames_seen else None
    row["zero"] = -1 if zero is None else zero
    row["shared"] = -1 if zero is None else max(unsure - zero, 0)
