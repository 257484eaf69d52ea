# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns of areas without access and of the writable ones that they belong to."""

from __future__ import annotations

import numpy as np

from vmad.advice.finding.layout import FEW, UNSET, Layout, Rows
from vmad.advice.pattern import Pattern
from vmad.model.flags import VM_GROWSDOWN
from vmad.model.kinds import Kind

#: bytes; guard pages are one page to 64 KiB, reserved address space is more
LARGEST_GUARD = 64 << 10
#: kinds of what a WebAssembly memory begins as
_IMAGES = (Kind.FILE, Kind.FILE_DELETED, Kind.SHARED_MEMORY)
#: bytes reserved behind a WebAssembly memory: 4 GiB less the memory, or more
SMALLEST_WASM_RESERVE = 1 << 30
#: a heap of glibc's arenas lies at a multiple of this (malloc/arena.c, HEAP_MAX_SIZE)
ARENA_HEAP = 64 << 20
#: bytes; what is guarded and smaller is a block of an allocator, larger is a stack
SMALLEST_STACK = 16 << 10
#: bytes; stacks are multiples of it
ROUND_STACK = 16 << 10
#: bytes; the default size of a thread's stack (ulimit -s)
DEFAULT_STACK = 8 << 20
#: guards beyond this many per thread are not those of threads: some runtimes (Mono) add their own
GUARDS_PER_THREAD = 2.25


def give_growing(layout: Layout) -> None:
    """Stacks that the kernel grows, beside the process's own, and what is reserved for them."""
    if not layout.table.has_flags:
        return
    grows = layout.writable & ((layout.table.rows["flags"] & np.uint64(VM_GROWSDOWN)) != 0)
    if np.count_nonzero(grows) < FEW:
        return
    beside = np.zeros(len(grows), bool)
    beside[1:] = layout.touches[1:] & grows[:-1]
    beside[:-1] |= layout.touches[1:] & grows[1:]
    layout.give(grows | (beside & (layout.kind == Kind.ANON_NO_ACCESS)), Pattern.GROWING_STACKS)


def give_closed(layout: Layout, threads: int | None) -> None:
    """Areas without access and the writable ones that they belong to."""
    closed = np.flatnonzero(layout.kind == Kind.ANON_NO_ACCESS)
    if not len(closed):
        return
    size = layout.size[closed]
    above = _beside(layout, closed, +1)
    below = _beside(layout, closed, -1)
    heap = (
        (below >= 0)
        & (layout.start[below] % ARENA_HEAP == 0)
        & (layout.end[closed] % ARENA_HEAP == 0)
        & (layout.end[closed] - layout.start[below] <= ARENA_HEAP)
    )
    layout.give(closed[heap], Pattern.ARENA_HEAPS)
    layout.give(below[heap], Pattern.ARENA_HEAPS)
    if np.count_nonzero(heap):
        # a heap that is used up has no closed rest
        full = layout.writable & (layout.start % ARENA_HEAP == 0) & (layout.size == ARENA_HEAP)
        layout.give(full, Pattern.ARENA_HEAPS)
    small = (size <= LARGEST_GUARD) & (layout.of_row[closed] == UNSET)
    guards, guarded = closed[small], above[small]
    # below where nothing lies above: a guard behind a block
    guarded = np.where(guarded >= 0, guarded, below[small])
    _guards(layout, guards, guarded, threads)
    for beside in (below, above):
        among = (layout.of_row[closed] == UNSET) & (beside >= 0)
        layout.give(beside[among], Pattern.OPENED_RESERVE)
    layout.give(closed, Pattern.OPENED_RESERVE)


def _beside(layout: Layout, rows: Rows, step: int) -> Rows:
    """The writable anonymous row that touches each, above (+1) or below (-1); -1 for none."""
    other = rows + step
    inside = (other >= 0) & (other < len(layout.kind))
    safe = np.where(inside, other, 0)
    touches = layout.touches[np.where(step > 0, safe, rows)]
    return np.where(inside & touches & layout.writable[safe], other, -1)


def give_wasm(layout: Layout) -> None:
    """Gigabytes without access, and the writable memory right below each; before files are told.

    A memory that a module fills begins as a private mapping of an image (Wasmtime maps a memfd),
    and is anonymous only behind that.
    """
    closed = (layout.kind == Kind.ANON_NO_ACCESS) & (layout.size >= SMALLEST_WASM_RESERVE)
    reserves = np.flatnonzero(closed)
    reserves = reserves[reserves > 0]
    private = (layout.access & 2 != 0) & ~layout.shared
    memory = reserves[layout.touches[reserves] & private[reserves - 1]] - 1
    if len(memory) < FEW:
        return
    layout.give(memory + 1, Pattern.WASM_RESERVATIONS)
    layout.give(memory, Pattern.WASM_RESERVATIONS)
    behind = memory[(memory > 0) & layout.touches[memory] & layout.writable[memory]]
    image = behind[private[behind - 1] & np.isin(layout.kind[behind - 1], _IMAGES)] - 1
    layout.give(image, Pattern.WASM_RESERVATIONS)


def _guards(layout: Layout, guards: Rows, guarded: Rows, threads: int | None) -> None:
    if not len(guards):
        return
    known = guarded[guarded >= 0]
    usual = int(np.median(layout.size[known])) if len(known) else 0
    if len(guards) < FEW:
        pattern = Pattern.THREAD_GUARDS
    elif threads is None:
        pattern = _of_blocks(layout, guards, known, usual)
        if pattern is Pattern.COROUTINE_GUARDS and usual + LARGEST_GUARD >= DEFAULT_STACK:
            pattern = Pattern.THREAD_GUARDS
    elif _of_threads(layout, guards, known, threads):
        pattern = Pattern.THREAD_GUARDS
    else:
        pattern = _of_blocks(layout, guards, known, usual)
    layout.give(guards, pattern)
    layout.give(known, pattern)


def _of_threads(layout: Layout, guards: Rows, known: Rows, threads: int) -> bool:
    """So few guards that threads may have them all, a third of them large enough for a stack: some
    run times give each thread a small one for signals, too.
    """
    stacks = int(np.count_nonzero(layout.size[known] >= SMALLEST_STACK))
    return len(guards) <= threads * GUARDS_PER_THREAD + FEW and stacks * 3 >= len(guards)


def _of_blocks(layout: Layout, guards: Rows, known: Rows, usual: int) -> Pattern:
    """What lies between more guards than threads have, or guards of small blocks.

    A guard has never been written; what has was taken away from the program, but for a single page
    beside a stack, which may have been cut out of written memory. Stacks are of one size, and the
    guards of all blocks are; what an allocator takes back is of any.
    """
    page = 1 << layout.page_shift
    written = np.count_nonzero(layout.table.rows["anon_vma"][guards]) * 2 > len(guards)
    guard = int(np.median(layout.size[guards]))
    one_page = guard == page
    if usual < SMALLEST_STACK:
        return Pattern.OPENED_RESERVE if written else Pattern.ALLOCATOR_GUARDS
    if not one_page and (written or not _as_stack(usual, page, guard)):
        return Pattern.OPENED_RESERVE
    if not _alike(layout.size[guards]):
        return Pattern.OPENED_RESERVE
    return Pattern.COROUTINE_GUARDS if _alike(layout.size[known]) else Pattern.ALLOCATOR_GUARDS


def _alike(sizes: Rows) -> bool:
    """Half of them are equal."""
    counts = np.unique(sizes, return_counts=True)[1]
    return int(np.max(counts)) * 2 >= len(sizes)


def _as_stack(usual: int, page: int, guard: int) -> bool:
    """Stacks are so many KiB with their guard, or without it, or with one at each end, and their
    guards a small part of that.
    """
    return guard * 4 <= usual and any((usual + ends * page) % ROUND_STACK == 0 for ends in range(3))
