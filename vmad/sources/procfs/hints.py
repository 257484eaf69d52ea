# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a few pagemap entries say of pairs that maps shows as alike: faulted sides, shared pages."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.sources.procfs.pagemap import (
    PAGE_SHIFT,
    anonymous,
    read_entries,
    surely_shared,
)
from vmad.sources.procfs.text import U64

#: pages looked at from the start of each side: what is used at all is mostly used from its start
SAMPLE = 8
Pages = npt.NDArray[np.int64]
#: reading this many entries for nothing is cheaper than one more system call
_GAP = 32
_RUN = 128
#: what one system call counts as in the budget, in entries: its cost is about that of so many
_CALL = 64


@dataclass(frozen=True, slots=True)
class AlikePairs:
    """Pairs of one process, ascending: A is [start, boundary), B is [boundary, end), bytes."""

    start: U64
    boundary: U64
    end: U64

    def __len__(self) -> int:
        return len(self.start)


def pair_hints(
    place: str, pairs: AlikePairs, budget: int, tick: Callable[[], None], proc: str = "/proc"
) -> tuple[Pages, int]:
    """(four hint bits per pair in the order of the facts, entries read). Raises OSError.

    ``place`` is the directory of the process below ``proc``. At most ``budget`` entries
    are read; pairs beyond it have no bits. A process that executes another program between the
    reading of its maps and this is noticed by the caller, if at all, at the next scan: the bits
    are hints.
    """
    first = np.concatenate([pairs.start, pairs.boundary]) >> np.uint64(PAGE_SHIFT)
    last = np.concatenate([pairs.boundary, pairs.end]) >> np.uint64(PAGE_SHIFT)
    order = np.argsort(first, kind="stable")
    first, last = first[order].astype(np.int64), last[order].astype(np.int64)
    last = np.minimum(last, first + SAMPLE)
    faulted = np.zeros(len(first), np.bool_)
    shared = np.zeros(len(first), np.bool_)
    # a run of sides that lie close together is one read, but no run is longer than _RUN sides
    apart = np.r_[True, first[1:] > np.maximum.accumulate(last)[:-1] + _GAP]
    apart[::_RUN] = True
    begins = np.flatnonzero(apart)
    spent = 0
    fd = os.open(f"{proc}/{place}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for begin, end in zip(begins, [*begins[1:], len(first)], strict=True):
            page, count = int(first[begin]), int(last[begin:end].max() - first[begin])
            if spent + count > budget:
                break
            tick()
            entries = read_entries(fd, page, count)
            spent += max(count, _CALL)
            at: Pages = first[begin:end] - np.int64(page)
            stop: Pages = last[begin:end] - np.int64(page)
            faulted[begin:end] = _any_between(anonymous(entries), at, stop)
            pages = np.arange(page, page + count, dtype=np.uint64)
            shared[begin:end] = _any_between(surely_shared(entries, pages), at, stop)
    finally:
        os.close(fd)
    # a page that is surely shared is no zero page: it is anonymous, so its VMA was written to
    faulted |= shared
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    half = len(pairs)
    a, b = back[:half], back[half:]
    bits = faulted[a].astype(np.int64) | faulted[b].astype(np.int64) << 1
    bits |= shared[a].astype(np.int64) << 2 | shared[b].astype(np.int64) << 3
    return bits, spent


def _any_between(what: npt.NDArray[np.bool_], begin: Pages, end: Pages) -> npt.NDArray[np.bool_]:
    """Whether any of ``what[begin:end]`` is set, for many ranges."""
    total = np.concatenate([[0], np.cumsum(what)])
    result: npt.NDArray[np.bool_] = total[end] > total[begin]
    return result
