# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails first near vm.max_map_count: the kernel tests the limit in more than one way."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kernel import KernelInfo


@dataclass(frozen=True, slots=True)
class Threshold:
    """``operation`` fails with ``error`` once the process has ``fails_from`` VMAs or more."""

    operation: str
    fails_from: int
    error: str


def thresholds(kernel: KernelInfo, limit: int) -> tuple[Threshold, ...]:
    """What fails at which map_count, soonest first. Merging and unmapping an edge never fail.

    Sources: 6.1 mm/mremap.c:625 and :874 (a move needs three to spare, a fixed one two more),
    mm/mmap.c:2429 and :2481 (a split needs one), mm/mmap.c:1311 and :3146 (mmap and brk may start
    at the limit). 7.3 tests map_count + 4 (MREMAP_DONTUNMAP + 5) at the start of every mremap.
    5.10 reports a failed split of madvise as ENOMEM, later kernels as EAGAIN.
    """
    madvise = "ENOMEM" if kernel.version < (5, 17) else "EAGAIN"
    if kernel.version >= (7, 3):
        moves = (
            Threshold("mremap with MREMAP_DONTUNMAP", limit - 4, "ENOMEM"),
            Threshold("any other mremap", limit - 3, "ENOMEM"),
        )
    else:
        moves = (
            Threshold("mremap to a fixed address", limit - 5, "ENOMEM"),
            Threshold("mremap that moves", limit - 3, "ENOMEM"),
        )
    return (
        *moves,
        Threshold("mprotect, mlock or munmap of a part", limit, "ENOMEM"),
        Threshold("madvise of a part", limit, madvise),
        Threshold("mmap, brk and new threads", limit + 1, "ENOMEM"),
    )
