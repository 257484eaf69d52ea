# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What reading a VMA costs here and now: CPU time, measured on many small VMAs of our own."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vmad.model.process import ProcessId
from vmad.sources.maximum import read_max_map_count
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import Source

#: enough that what a process costs by itself does not show; far from the default limit
MANY = 20_000
#: pairs of calls that are timed in one piece, well below a millisecond
PAIRS = 100
PROT_NONE = 0  # not in the mmap module


@contextmanager
def many_vmas(proc: str = "/proc") -> Iterator[int]:
    """About MANY untouched VMAs for the time being: pages that may be read beside ones that may
    not. Gives their number, fewer where vm.max_map_count is low.
    """
    limit = read_max_map_count(proc) or 0
    number = max(min(MANY, limit // 4), 2)
    library = ctypes.CDLL(None, use_errno=True)
    library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with mmap.mmap(-1, number * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as region:
        anchor = ctypes.c_char.from_buffer(region)
        start = ctypes.addressof(anchor)
        made = 0
        while made < number and not library.mprotect(
            start + made * mmap.PAGESIZE, mmap.PAGESIZE, PROT_NONE
        ):
            made += 2
        try:
            yield max(made, 1)
        finally:
            del anchor  # else the mapping may not be closed


def ns_per_vma(source: Source, proc: str = "/proc") -> float | None:
    """CPU nanoseconds per VMA of a scan of this process; None when it cannot be read."""
    me = ProcessId(os.getpid(), read_stat(os.getpid(), proc).start_time)
    with many_vmas(proc):
        source.census()
        vmas = [getattr(result, "vmas", 0) for result in source.summarise([me])]
        spent = best_of(3, lambda: list(source.summarise([me])))
    return spent / sum(vmas) * 1e9 if sum(vmas) else None


def best_of(times: int, work: Callable[[], object]) -> float:
    """CPU seconds that ``work`` takes, all threads; what else the machine does hardly shows."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def ns_per_call() -> float:
    """CPU nanoseconds of one of two calls, mmap and munmap of a page, without Python's part."""
    library = ctypes.CDLL(None)
    map_page, unmap, nothing = library.mmap, library.munmap, library.abs
    map_page.restype = ctypes.c_void_p
    page = ctypes.c_size_t(mmap.PAGESIZE)
    arguments = (None, page, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))

    def calls() -> None:
        for _ in range(PAIRS):
            unmap(ctypes.c_void_p(map_page(*arguments)), page)

    def no_calls() -> None:  # of the kernel
        for _ in range(PAIRS):
            nothing(ctypes.c_void_p(nothing(*arguments)), page)

    # short pieces: on a busy machine some of them are left alone
    return (best_of(60, calls) - best_of(60, no_calls)) / (2 * PAIRS) * 1e9
