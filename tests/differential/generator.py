# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Random programs, drawn from one source of small numbers: a seeded generator or hypothesis.

Every decision is one number below a bound, smaller is simpler; so the same code makes volume with
random.Random and shrinks with hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.differential.program import ARENA_PAGES, PAGE, Fork, Kind, Op, Program, at, op

#: a number from 0 to the bound, exclusive
Pick = Callable[[int], int]

R, W, X = 1, 2, 4
PRIVATE, DROPPABLE, FIXED, ANON = 2, 8, 0x10, 0x20
GROWSDOWN, LOCKED, NORESERVE, POPULATE, STACK = 0x100, 0x2000, 0x4000, 0x8000, 0x20000
MAYMOVE, MREMAP_FIXED, DONTUNMAP = 1, 2, 4

PROTS = (R | W, R | W, R | W, R | W, R, R, 0, R | W | X, R | X)
MMAP_FLAGS = (
    *[PRIVATE] * 8, PRIVATE | NORESERVE, PRIVATE | STACK, PRIVATE | GROWSDOWN, DROPPABLE,
    PRIVATE | LOCKED, PRIVATE | POPULATE,
)  # fmt: skip
#: madvise: hints that change vm_flags, and those that change only pages
HINTS = (0, 1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
PAGE_ADVICE = (4, 8, 20, 21, 22, 23, 25, 102, 103, 3)
LENGTHS = (2, 4, 1, 3, 8, 12, 16, 24)
#: MPOL_DEFAULT, BIND, PREFERRED, INTERLEAVE, LOCAL, BIND|STATIC, BIND|RELATIVE, PREFERRED_MANY
POLICIES = (0, 2, 1, 3, 4, 2 | 1 << 15, 2 | 1 << 14, 5)
UFFD_MODES = (1, 1, 1, 2, 3)  #: missing, write-protect, both

#: how often each kind is drawn; fork is dear, the whole process only rarely
WEIGHTS = (
    (Kind.WRITE, 14), (Kind.MADVISE, 16), (Kind.MPROTECT, 6), (Kind.MREMAP, 12), (Kind.MMAP, 12),
    (Kind.MLOCK, 5), (Kind.MBIND, 4), (Kind.MUNMAP, 3), (Kind.READ, 3), (Kind.UFFD_REGISTER, 4),
    (Kind.FORK, 2), (Kind.MSEAL, 1), (Kind.ZERO_FILE, 2), (Kind.UFFD_UNREGISTER, 1),
    (Kind.UFFD_CLOSE, 1), (Kind.HOME_NODE, 1), (Kind.NAME, 1), (Kind.MEMORY_MERGE, 1),
    (Kind.PKEY, 1), (Kind.MLOCKALL, 1),
)  # fmt: skip
#: for runs that only anon_vmas and page offsets keep apart
RUN_WEIGHTS = (
    (Kind.WRITE, 24), (Kind.MREMAP, 24), (Kind.MMAP, 16), (Kind.MUNMAP, 4), (Kind.READ, 4),
    (Kind.MADVISE, 3), (Kind.MPROTECT, 1), (Kind.MLOCK, 1), (Kind.MBIND, 1), (Kind.FORK, 1),
)  # fmt: skip
#: the same for long programs, in which each of the rare ones would come up else
LONG_RUN_WEIGHTS = (
    (Kind.WRITE, 240), (Kind.MREMAP, 240), (Kind.MMAP, 160), (Kind.MUNMAP, 20), (Kind.READ, 40),
    (Kind.MADVISE, 6), (Kind.MPROTECT, 2), (Kind.MLOCK, 1), (Kind.MBIND, 1), (Kind.FORK, 2),
)  # fmt: skip


def _table(weights: tuple[tuple[Kind, int], ...]) -> tuple[Kind, ...]:
    return tuple(kind for kind, weight in weights for _ in range(weight))


class Mix(NamedTuple):
    """What programs are made of: ``least`` calls and up to ``more`` others, each drawn from
    ``table``, on so many pages; ``plain``: most of what is mapped can be part of a run.
    """

    table: tuple[Kind, ...]
    least: int
    more: int
    lengths: tuple[int, ...]
    plain: bool


EVERYTHING = Mix(_table(WEIGHTS), 3, 40, LENGTHS, False)
RUNS = Mix(_table(RUN_WEIGHTS), 3, 40, LENGTHS, True)
LONG_RUNS = Mix(_table(LONG_RUN_WEIGHTS), 40, 120, (2, 1, 3, 4), True)


def random_program(pick: Pick, mix: Mix = EVERYTHING) -> Program:
    """A program that leaves some VMAs in the arena; any of its calls may fail."""
    ops = [op(Kind.MMAP, 0, ARENA_PAGES // 2, arg=R | W | (PRIVATE | FIXED | ANON) << 8)]
    for _ in range(mix.least + pick(mix.more)):
        ops.append(_random_op(pick, mix))
        if ops[-1].kind == Kind.UFFD_REGISTER and pick(4) == 3:
            ops.append(_beside(ops[-1]))
    return tuple(ops)


def _beside(registered: Op) -> Op:
    """The range above, registered alike with another userfaultfd: only the contexts differ."""
    above = registered.addr + registered.len
    return registered._replace(addr=above, extra=(registered.extra + 1) % 3)


def _random_op(pick: Pick, mix: Mix) -> Op:
    """One call with random arguments."""
    kind = mix.table[pick(len(mix.table))]
    page, pages = _range(pick, mix.lengths)
    match kind:
        case Kind.MMAP:
            if mix.plain and pick(8):
                return op(kind, page, pages, R | W | (PRIVATE | FIXED | ANON) << 8)
            flags = MMAP_FLAGS[pick(len(MMAP_FLAGS))] | FIXED | ANON
            return op(kind, page, pages, PROTS[pick(len(PROTS))] | flags << 8)
        case Kind.MPROTECT | Kind.ZERO_FILE | Kind.PKEY:
            return op(kind, page, pages, PROTS[pick(len(PROTS))])
        case Kind.MADVISE:
            advice = PAGE_ADVICE if pick(4) == 3 else HINTS
            return op(kind, page, pages, advice[pick(len(advice))])
        case Kind.MREMAP:
            return _mremap(pick, page, pages, mix.lengths)
        case Kind.MLOCK:
            return op(kind, page, pages, pick(3))
        case Kind.MBIND:
            policy = POLICIES[pick(len(POLICIES))]
            return op(kind, page, pages, policy, extra=int(policy not in (0, 4)))
        case Kind.UFFD_REGISTER:
            return op(kind, page, pages, UFFD_MODES[pick(len(UFFD_MODES))], extra=pick(3))
        case Kind.UFFD_UNREGISTER:
            return op(kind, page, pages, extra=pick(3))
        case Kind.UFFD_CLOSE:
            return op(kind, extra=pick(3))
        case Kind.FORK:
            return op(kind, arg=(Fork.FOLLOW, Fork.LIVING, Fork.DEAD, Fork.FOLLOW_ORPHAN)[pick(4)])
        case Kind.NAME:
            return op(kind, page, pages, (0, ord("a"), ord("b"))[pick(3)])
        case Kind.MEMORY_MERGE:
            return op(kind, arg=1 - pick(2))
        case Kind.MLOCKALL:
            return op(kind, arg=(0, 1, 2, 3, 4 | 1, 4 | 2)[pick(6)])
        case _:
            return op(kind, page, pages)


def _range(pick: Pick, lengths: tuple[int, ...]) -> tuple[int, int]:
    pages = lengths[pick(len(lengths))]
    # half of the ranges start where lengths add up, so that operations meet at their edges
    page = pick(ARENA_PAGES // 4) * 4 if pick(2) == 0 else pick(ARENA_PAGES)
    return page, max(1, min(pages, ARENA_PAGES - page))


def _mremap(pick: Pick, page: int, pages: int, lengths: tuple[int, ...]) -> Op:
    """Move (to an aligned place, or by one length, which swaps neighbours), grow or shrink."""
    how = pick(8)
    if how < 5:
        flags = MAYMOVE | MREMAP_FIXED | (DONTUNMAP if how == 4 else 0)
        to = pick(ARENA_PAGES // 4) * 4 if pick(2) == 0 else pick(ARENA_PAGES)
        return Op(Kind.MREMAP, flags, at(page), pages * PAGE, at(to), pages * PAGE)
    if how == 5:  # move and change the size at once
        size = lengths[pick(len(lengths))] * PAGE
        return Op(
            Kind.MREMAP, MAYMOVE | MREMAP_FIXED, at(page), pages * PAGE,
            at(pick(ARENA_PAGES)), size,
        )  # fmt: skip
    return Op(Kind.MREMAP, 0, at(page), pages * PAGE, 0, lengths[pick(len(lengths))] * PAGE)
