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
#: bytes reserved behind a WebAssembly memory: 4 GiB less the memory, or more
SMALLEST_WASM_RESERVE = 1 << 30
#: a heap of glibc's arenas lies at a multiple of this (malloc/arena.c, HEAP_MAX_SIZE)
ARENA_HEAP = 64 << 20
#: bytes; what is guarded and smaller is a block of an allocator, larger is a stack
SMALLEST_STACK = 16 << 10
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
    _wasm(layout, closed[size >= SMALLEST_WASM_RESERVE], below[size >= SMALLEST_WASM_RESERVE])
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


def _wasm(layout: Layout, closed: Rows, below: Rows) -> None:
    with_memory = below >= 0
    if np.count_nonzero(with_memory) < FEW:
        return
    layout.give(closed[with_memory], Pattern.WASM_RESERVATIONS)
    layout.give(below[with_memory], Pattern.WASM_RESERVATIONS)


def _guards(layout: Layout, guards: Rows, guarded: Rows, threads: int | None) -> None:
    if not len(guards):
        return
    known = guarded[guarded >= 0]
    usual = int(np.median(layout.size[known])) if len(known) else 0
    if usual < SMALLEST_STACK and len(guards) >= FEW:
        # a guard page has never been written; what has was taken away from the program
        written = np.count_nonzero(layout.table.rows["anon_vma"][guards]) * 2 > len(guards)
        pattern = Pattern.OPENED_RESERVE if written else Pattern.ALLOCATOR_GUARDS
    elif threads is not None:
        few = len(guards) <= threads * GUARDS_PER_THREAD + FEW
        pattern = Pattern.THREAD_GUARDS if few else Pattern.COROUTINE_GUARDS
    else:
        of_threads = usual + LARGEST_GUARD >= DEFAULT_STACK or len(guards) < FEW
        pattern = Pattern.THREAD_GUARDS if of_threads else Pattern.COROUTINE_GUARDS
    layout.give(guards, pattern)
    layout.give(known, pattern)
