# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which pattern each VMA of an address space belongs to. Pure; a table and its pairs come in.

The tests go from what is certain to what is left over: files by object, then areas without access
and what they guard, then pairs by all of their reasons, then what is no pair at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.advice.pattern import Pattern, explains
from vmad.advice.situation import PatternCount
from vmad.model.distinct import distinct
from vmad.model.flags import VM_GROWSDOWN
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.model.verdict import Judgement, Verdict
from vmad.rules.judged_pairs import JudgedPairs

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

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
#: bytes; blocks of malloc have a header, so that hardly one in 16 is a multiple of it
ROUND = 64 << 10
#: different libraries of one process beyond which they are a pattern: scikit-learn brings 280
MANY = 512
#: files that stand for what the kernel shares with a program: each mapping is another one
_RINGS = ("anon_inode:", "/[aio]", "socket:")
#: names of memory that is shared and no file: the kernel's own, and shm_open(3)'s
_SEGMENTS = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "/anon_hugepage")
#: fewer than so many of a kind are nobody's pattern
FEW = 4
#: guards beyond this many per thread are not those of threads: some runtimes (Mono) add their own
GUARDS_PER_THREAD = 2.25

#: (decisive reason, or its beginning) -> pattern, first match; access and anon_vma are told apart
_BY_REASON: tuple[tuple[str, Pattern], ...] = (
    ("latent", Pattern.LATENT),
    ("vm_userfaultfd_ctx", Pattern.USERFAULTFD),
    ("mempolicy", Pattern.POLICIES),
    ("anon_vma_name", Pattern.NAMES),
    ("vm_file", Pattern.DEVICE_ZERO),
    ("VM_SPECIAL", Pattern.DRIVER),
    ("vm_ops_close", Pattern.DRIVER),
    ("anon_vma_shared", Pattern.FORKED),
    ("anon_vma_chain_not_singular", Pattern.FORKED),
    ("vm_pgoff_shared", Pattern.FORKED),
    ("vm_pgoff", Pattern.MOVED),
    ("anon_vma_differs", Pattern.WRITTEN_APART),
)
#: whoever shares the pages: what mremap moved stays apart when nobody does
_DIFFER = ("anon_vma_differs", "anon_vma_shared")
_MOVED = {"vm_pgoff", "vm_pgoff_shared"}
_FLAGS = (
    Pattern.ADVISED, Pattern.FORK_ADVISED, Pattern.LOCKED, Pattern.ACCOUNTED, Pattern.USERFAULTFD,
)  # fmt: skip


@dataclass(frozen=True)
class Patterned:
    """``of_row[i]`` is the index of row i's pattern in ``order``; ``counts`` most VMAs first."""

    of_row: npt.NDArray[np.uint8]
    counts: tuple[PatternCount, ...]

    def rows(self, pattern: Pattern) -> Rows:
        """The table's rows that belong to it, ascending."""
        return np.flatnonzero(self.of_row == _NUMBER[pattern])


_NUMBER = {pattern: number for number, pattern in enumerate(Pattern)}
_UNSET = 255


def find_patterns(
    table: VmaTable, pairs: JudgedPairs, threads: int | None, page_shift: int
) -> Patterned:
    """Every row under exactly one pattern.

    ``threads`` is how many the process has, if known; ``page_shift`` is log2 of its page size.
    """
    rows = table.rows
    of_row = np.full(len(rows), _UNSET, np.uint8)
    if len(rows):
        view = _View(table, of_row, page_shift)
        objects = _files(view)
        _growing(view)
        _closed(view, threads)
        _pairs(view, pairs)
        _singles(view)
    else:
        objects = {}
    return Patterned(of_row, _counted(table, of_row, pairs, objects))


class _View:
    """Columns of the table that several steps ask for, and the answer they fill in."""

    def __init__(self, table: VmaTable, of_row: npt.NDArray[np.uint8], page_shift: int) -> None:
        rows = table.rows
        self.table = table
        self.of_row = of_row
        self.page_shift = page_shift
        self.kind = rows["kind"]
        self.start: npt.NDArray[np.int64] = rows["start"].astype(np.int64)
        self.end: npt.NDArray[np.int64] = rows["end"].astype(np.int64)
        self.size = self.end - self.start
        self.access = rows["perms"] & 7
        #: touches the row before
        self.touches: Bools = np.zeros(len(rows), bool)
        self.touches[1:] = self.start[1:] == self.end[:-1]
        self.writable = (self.kind == Kind.ANON_WRITABLE) & (self.access & 2 != 0)

    @property
    def free(self) -> Bools:
        """Rows without a pattern yet."""
        free: Bools = self.of_row == _UNSET
        return free

    def give(self, rows: Rows | Bools, pattern: Pattern) -> None:
        """These rows have this pattern, where they have none yet."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        chosen = chosen[self.of_row[chosen] == _UNSET]
        self.of_row[chosen] = _NUMBER[pattern]


def _files(view: _View) -> dict[Pattern, int]:
    """Rows of files and shared memory, by the object that they map; number of objects."""
    mapped = np.isin(view.kind, (Kind.FILE, Kind.FILE_DELETED, Kind.SHARED_MEMORY))
    which = np.flatnonzero(mapped)
    if not len(which):
        return {}
    of, objects = _objects(view.table, which)
    executable = np.bincount(of, view.access[which] & 4, minlength=objects) > 0
    pieces = np.bincount(of, minlength=objects)
    # pieces that touch the one before and continue it: they were one mapping
    offset = view.table.rows["pgoff"][which].astype(np.int64)
    beside = (np.diff(which) == 1) & view.touches[which[1:]] & (of[1:] == of[:-1])
    continues = np.zeros(len(which), bool)
    continues[1:] = beside & (offset[1:] - offset[:-1] == view.size[which[:-1]] >> view.page_shift)
    split = np.bincount(of, continues, minlength=objects)
    backwards = np.zeros(len(which), bool)
    backwards[1:] = beside & (offset[:-1] - offset[1:] == view.size[which[1:]] >> view.page_shift)
    reverse = np.bincount(of, backwards, minlength=objects)
    shared = view.kind[which] == Kind.SHARED_MEMORY
    file, gone = _files_of_memory(view.table, which)
    deleted = (view.kind[which] == Kind.FILE_DELETED) | shared & gone
    library = executable[of] & ~shared
    many_libraries = len(distinct(of[library])) > MANY
    view.give(which[library], Pattern.MANY_LIBRARIES if many_libraries else Pattern.LIBRARIES)
    _data_of_libraries(view)
    view.give(which[_rings(view.table, which)], Pattern.KERNEL_RINGS)
    view.give(which[deleted], Pattern.DELETED_FILES)
    many = pieces >= FEW
    view.give(which[(many & (split * 2 >= pieces))[of]], Pattern.OBJECT_SPLIT)
    view.give(which[(many & (reverse * 2 >= pieces))[of]], Pattern.OBJECT_REVERSED)
    view.give(which[many[of]], Pattern.OBJECT_IN_PIECES)
    view.give(which[shared & ~file], Pattern.MANY_SEGMENTS)
    view.give(which, Pattern.MANY_OBJECTS)
    return {
        pattern: len(distinct(of[view.of_row[which] == _NUMBER[pattern]]))
        for pattern in (
            Pattern.LIBRARIES, Pattern.MANY_LIBRARIES, Pattern.KERNEL_RINGS, Pattern.DELETED_FILES,
            Pattern.OBJECT_SPLIT, Pattern.OBJECT_REVERSED, Pattern.OBJECT_IN_PIECES,
            Pattern.MANY_OBJECTS, Pattern.MANY_SEGMENTS,
        )
    }  # fmt: skip


def _objects(table: VmaTable, which: Rows) -> tuple[Rows, int]:
    """The number of the object of each row of ``which``, and how many there are.

    Kernel evidence numbers open files, of which one path may have many; names of memory objects
    and deleted files say little, since many have the same.
    """
    numbers: dict[object, int] = {}
    kinds, files = table.rows["kind"][which].tolist(), table.rows["file"][which].tolist()
    found = np.empty(len(which), np.int64)
    for place, (row, kind, file) in enumerate(zip(which.tolist(), kinds, files, strict=True)):
        name = table.paths.get(row) if kind == Kind.FILE or not file else None
        found[place] = numbers.setdefault(file if name is None else name, len(numbers))
    return found, len(numbers)


def _files_of_memory(table: VmaTable, which: Rows) -> tuple[Bools, Bools]:
    """Which of these rows, where they are of tmpfs, are files as others are, and which of those
    are deleted: /tmp is one on many machines. /dev/shm is where segments have their names.
    """
    paths = [table.paths.get(row, "") for row in which.tolist()]
    file = np.array([path[:1] == "/" and not path.startswith(_SEGMENTS) for path in paths], bool)
    deleted = np.array([path.endswith(" (deleted)") for path in paths], bool)
    return file, file & deleted


def _rings(table: VmaTable, which: Rows) -> Bools:
    """Which of these rows are shared with the kernel itself."""
    return np.array([table.paths.get(row, "").startswith(_RINGS) for row in which.tolist()], bool)


def _data_of_libraries(view: _View) -> None:
    """Anonymous memory right behind a library's mapping is its zeroed data (.bss)."""
    for pattern in (Pattern.LIBRARIES, Pattern.MANY_LIBRARIES):
        behind = np.zeros(len(view.kind), bool)
        behind[1:] = view.touches[1:] & (view.of_row[:-1] == _NUMBER[pattern]) & view.writable[1:]
        view.give(behind, pattern)


def _growing(view: _View) -> None:
    """Stacks that the kernel grows, beside the process's own, and what is reserved for them."""
    if not view.table.has_flags:
        return
    grows = view.writable & ((view.table.rows["flags"] & np.uint64(VM_GROWSDOWN)) != 0)
    if np.count_nonzero(grows) < FEW:
        return
    beside = np.zeros(len(grows), bool)
    beside[1:] = view.touches[1:] & grows[:-1]
    beside[:-1] |= view.touches[1:] & grows[1:]
    view.give(grows | (beside & (view.kind == Kind.ANON_NO_ACCESS)), Pattern.GROWING_STACKS)


def _closed(view: _View, threads: int | None) -> None:
    """Areas without access and the writable ones that they belong to."""
    closed = np.flatnonzero(view.kind == Kind.ANON_NO_ACCESS)
    if not len(closed):
        return
    size = view.size[closed]
    above = _beside(view, closed, +1)
    below = _beside(view, closed, -1)
    _wasm(view, closed[size >= SMALLEST_WASM_RESERVE], below[size >= SMALLEST_WASM_RESERVE])
    heap = (
        (below >= 0)
        & (view.start[below] % ARENA_HEAP == 0)
        & (view.end[closed] % ARENA_HEAP == 0)
        & (view.end[closed] - view.start[below] <= ARENA_HEAP)
    )
    view.give(closed[heap], Pattern.ARENA_HEAPS)
    view.give(below[heap], Pattern.ARENA_HEAPS)
    if np.count_nonzero(heap):
        # a heap that is used up has no closed rest
        full = view.writable & (view.start % ARENA_HEAP == 0) & (view.size == ARENA_HEAP)
        view.give(full, Pattern.ARENA_HEAPS)
    small = (size <= LARGEST_GUARD) & (view.of_row[closed] == _UNSET)
    guards, guarded = closed[small], above[small]
    # below where nothing lies above: a guard behind a block
    guarded = np.where(guarded >= 0, guarded, below[small])
    _guards(view, guards, guarded, threads)
    for beside in (below, above):
        among = (view.of_row[closed] == _UNSET) & (beside >= 0)
        view.give(beside[among], Pattern.OPENED_RESERVE)
    view.give(closed, Pattern.OPENED_RESERVE)


def _beside(view: _View, rows: Rows, step: int) -> Rows:
    """The writable anonymous row that touches each, above (+1) or below (-1); -1 for none."""
    other = rows + step
    inside = (other >= 0) & (other < len(view.kind))
    safe = np.where(inside, other, 0)
    touches = view.touches[np.where(step > 0, safe, rows)]
    return np.where(inside & touches & view.writable[safe], other, -1)


def _wasm(view: _View, closed: Rows, below: Rows) -> None:
    with_memory = below >= 0
    if np.count_nonzero(with_memory) < FEW:
        return
    view.give(closed[with_memory], Pattern.WASM_RESERVATIONS)
    view.give(below[with_memory], Pattern.WASM_RESERVATIONS)


def _guards(view: _View, guards: Rows, guarded: Rows, threads: int | None) -> None:
    if not len(guards):
        return
    known = guarded[guarded >= 0]
    usual = int(np.median(view.size[known])) if len(known) else 0
    if usual < SMALLEST_STACK and len(guards) >= FEW:
        # a guard page has never been written; what has was taken away from the program
        written = np.count_nonzero(view.table.rows["anon_vma"][guards]) * 2 > len(guards)
        pattern = Pattern.OPENED_RESERVE if written else Pattern.ALLOCATOR_GUARDS
    elif threads is not None:
        few = len(guards) <= threads * GUARDS_PER_THREAD + FEW
        pattern = Pattern.THREAD_GUARDS if few else Pattern.COROUTINE_GUARDS
    else:
        of_threads = usual + LARGEST_GUARD >= DEFAULT_STACK or len(guards) < FEW
        pattern = Pattern.THREAD_GUARDS if of_threads else Pattern.COROUTINE_GUARDS
    view.give(guards, pattern)
    view.give(known, pattern)


def _pairs(view: _View, pairs: JudgedPairs) -> None:
    for number, case in enumerate(pairs.cases):
        upper = pairs.upper[pairs.case == number]
        pattern = _of_judgement(case.stock)
        if pattern is not None:
            view.give(upper, pattern)
            continue
        lower = view.access[upper - 1]
        code = ((view.access[upper] | lower) & 4) != 0
        view.give(upper[code], Pattern.CODE)
        view.give(upper[~code], Pattern.ACCESS_SWITCHED)


def _of_judgement(judgement: Judgement) -> Pattern | None:
    """The pattern that reasons tell; None where the access rights must be looked at."""
    decisive = judgement.decisive
    if judgement.verdict is Verdict.UNKNOWN:
        return Pattern.UNDECIDED
    if decisive == "vm_flags:access":
        return None
    if decisive in _DIFFER and _MOVED & set(judgement.reasons):
        return Pattern.MOVED
    if decisive.startswith("vm_flags:"):
        return next((flag for flag in _FLAGS if explains(flag, decisive)), Pattern.OTHER_FLAGS)
    return next(
        (pattern for start, pattern in _BY_REASON if decisive.startswith(start)),
        Pattern.OTHER_FLAGS,
    )


def _singles(view: _View) -> None:
    """What is no pair: pieces of what was one area, blocks on their own, the rest."""
    view.give(_cut_out(view), Pattern.HOLES)
    view.give(view.writable, Pattern.BLOCKS_APART)
    other = view.kind == Kind.ANON_OTHER
    executable = (view.access & 4) != 0
    view.give(other & executable, Pattern.CODE)
    view.give(other, Pattern.BLOCKS_APART)
    special = view.free & (view.kind == Kind.SPECIAL)
    if np.count_nonzero(special) > FEW:
        view.give(special, Pattern.DRIVER)
    view.give(view.free, Pattern.ORDINARY)


def _cut_out(view: _View) -> Bools:
    """Writable pieces above a hole that were one area with the piece below it.

    Kernel evidence: they share an anon_vma and their page offsets continue each other over the
    hole, which only a cut leaves behind (find_mergeable_anon_vma takes over that of a neighbour
    alone). What only /proc shows: the hole is smaller than the pieces beside it.
    """
    rows = view.table.rows
    found = np.zeros(len(rows), bool)
    both = view.writable[1:] & view.writable[:-1] & ~view.touches[1:]
    if view.table.has_anon_vma:
        same = (rows["anon_vma"][1:] == rows["anon_vma"][:-1]) & (rows["anon_vma"][1:] != 0)
        pages = np.diff(view.start) >> view.page_shift
        found[1:] = both & same & (np.diff(rows["pgoff"].astype(np.int64)) == pages)
    else:
        hole = view.start[1:] - view.end[:-1]
        beside = np.minimum(view.size[1:], view.size[:-1])
        found[1:] = both & (hole <= beside) & (hole <= LARGEST_GUARD)
    return found


def _counted(
    table: VmaTable, of_row: npt.NDArray[np.uint8], pairs: JudgedPairs, objects: dict[Pattern, int]
) -> tuple[PatternCount, ...]:
    writable = (table.rows["perms"] & 2) != 0
    size = (table.rows["end"] - table.rows["start"]).astype(np.int64)
    of_upper = of_row[pairs.upper]
    counts = []
    for pattern, vmas in zip(Pattern, np.bincount(of_row, minlength=len(Pattern)), strict=False):
        if not vmas:
            continue
        among = of_row == _NUMBER[pattern]
        pieces = size[among & writable]
        reasons: Counter[str] = Counter()
        cases = np.bincount(pairs.case[of_upper == _NUMBER[pattern]], minlength=len(pairs.cases))
        for number in np.flatnonzero(cases).tolist():
            stock = pairs.cases[number].stock
            for reason in stock.reasons or (stock.decisive,):
                reasons[reason] += int(cases[number])
        counts.append(
            PatternCount(
                pattern,
                int(vmas),
                dict(reasons.most_common()),
                int(np.median(pieces)) if len(pieces) else None,
                objects.get(pattern),
                float(np.mean(pieces % ROUND == 0)) if len(pieces) else None,
            )
        )
    return tuple(sorted(counts, key=lambda each: -each.vmas))
