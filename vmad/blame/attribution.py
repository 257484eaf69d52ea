# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which recorded call made the VMA at each address that one begins at: pure, over arrays.

A VMA is the call's that made its boundary, its start: the call after which one began there and
before which none did. So the VMAs of a process are told apart without rest: each counts once,
for whoever raised map_count by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from vmad.sources.bpf.blame import BOUNDARY, EventKind, ProcessEvent, Recorded
from vmad.sources.bpf.calls import CALLS

#: of how many ancestors boundaries are inherited
_GENERATIONS: Final = 64
MREMAP: Final = CALLS.index("mremap")
#: a doubt of our own, beside those of BOUNDARY: of a move of several VMAs it is not known which of
#: the boundaries at its target it carried there and which were in a hole of it before
CARRIED: Final = 8
#: a stack moves its start down without a call, and over boundaries that are long gone
GROWN: Final = 16
NO_MAKER: Final = -1  #: among calls
_VM_GROWSDOWN: Final = 0x100


class Origin(IntEnum):
    """How it is known who made a VMA."""

    RECORDED = 0
    MOVED = 1  #: an inner boundary that an mremap of several VMAs (6.17) carried along
    INHERITED = 2  #: made by a recorded ancestor, before the fork
    BEFORE = 3  #: older than the recording
    KERNEL = 4  #: made by execve or by the kernel itself: stack, heap, vdso
    FORGOTTEN = 5  #: it ended between the last reading of the VMAs and the end of the process


@dataclass(frozen=True, slots=True)
class Attribution:
    """One entry per VMA, in the order of ``starts``.

    ``origin`` of Origin; ``call`` is an index into CALLS, -1 where there is none; ``stack`` a
    stack's key, 0 none; ``when`` ns since boot, 0 unknown; ``doubt`` of BOUNDARY, CARRIED
    and GROWN.
    """

    origin: npt.NDArray[np.uint8]
    call: npt.NDArray[np.int64]
    stack: npt.NDArray[np.uint64]
    when: npt.NDArray[np.uint64]
    doubt: npt.NDArray[np.uint32]


def attribute(
    starts: npt.NDArray[np.uint64],
    by_kernel: npt.NDArray[np.bool_],
    tgid: int,
    recorded: Recorded,
    events: Sequence[ProcessEvent],
    *,
    growing: npt.NDArray[np.uint64] | None = None,
    current: bool = True,
) -> Attribution:
    """The makers of the VMAs that begin at ``starts`` (ascending) in process ``tgid``.

    ``by_kernel`` marks those that may be made by the kernel alone (files of execve, stack, vdso).
    ``growing`` (of grows_until) are those whose start may have moved down since it was made.
    Not ``current``: the VMAs were read some time before ``recorded``, so that it may have
    forgotten them.
    """
    size = len(starts)
    origin = np.full(size, Origin.BEFORE, np.uint8)
    makers = np.zeros(size, BOUNDARY)
    unknown = np.ones(size, np.bool_)
    since, process, how = recorded.processes.get(tgid, (0, 0, 0))[0], tgid, Origin.RECORDED
    latest = 2**64 - 1
    for _ in range(_GENERATIONS):
        own = _makers_of(process, starts, recorded)
        if growing is not None:
            _follow_growth(
                own, starts, np.where(unknown & ~by_kernel, growing, 0), process, recorded
            )
        ours = unknown & (own["sequence"] > since) & (own["sequence"] <= latest)
        makers[ours], origin[ours] = own[ours], how
        unknown &= ~ours
        moves = [
            event
            for event in events
            if event.kind is EventKind.MOVE
            and event.tgid == process
            and since < event.sequence <= latest
        ]
        for move in moves:
            inner = _carried(starts, move)
            inner = inner[unknown[inner] | (makers["sequence"][inner] < move.sequence)]
            makers[inner] = np.array((move.values[4], move.sequence, 0, MREMAP, CARRIED), BOUNDARY)
            origin[inner] = Origin.MOVED if how is Origin.RECORDED else how
            unknown[inner] = False
        parent = recorded.processes.get(process, (0, 0, 0))[1]
        if not parent:
            break
        latest, process, how = since, parent, Origin.INHERITED
        since = recorded.processes.get(parent, (0, 0, 0))[0]
    executed = any(event.kind is EventKind.EXEC and event.tgid == tgid for event in events)
    if not current:
        origin[unknown] = Origin.FORGOTTEN
    if current and executed:
        origin[unknown] = Origin.KERNEL
    origin[unknown & by_kernel & executed] = Origin.KERNEL
    if growing is not None:
        makers["doubt"][(growing > 0) & ~by_kernel] |= GROWN
    call = np.where(unknown, NO_MAKER, makers["call"].astype(np.int64))
    return Attribution(origin, call, makers["stack"], makers["when"], makers["doubt"])


def grows_until(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Where VMAs that grow downwards end; 0 for those that do not. ``rows`` of VMA_ROW."""
    grows = rows["flags"] & np.uint64(_VM_GROWSDOWN) != 0
    return np.where(grows, rows["end"], np.uint64(0))


def _of_process(
    tgid: int, recorded: Recorded
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.void]]:
    """Addresses, ascending, and their entries."""
    mine = recorded.keys["tgid"] == tgid
    addresses = recorded.keys["address"][mine]
    order = np.argsort(addresses, kind="stable")
    return addresses[order], recorded.makers[mine][order]


def _follow_growth(
    makers: npt.NDArray[np.void],
    starts: npt.NDArray[np.uint64],
    ends: npt.NDArray[np.uint64],
    tgid: int,
    recorded: Recorded,
) -> None:
    """A stack that grew down was made where it began: the lowest entry inside of it."""
    addresses, rows = _of_process(tgid, recorded)
    grown = np.flatnonzero((makers["sequence"] == 0) & (ends > 0))
    place = np.searchsorted(addresses, starts[grown])
    inside = place < len(addresses)
    grown, place = grown[inside], place[inside]
    there = addresses[place] < ends[grown]
    makers[grown[there]] = rows[place[there]]


def _makers_of(
    tgid: int, starts: npt.NDArray[np.uint64], recorded: Recorded
) -> npt.NDArray[np.void]:
    """The entries at these addresses, of BOUNDARY; sequence 0 where there is none."""
    addresses, rows = _of_process(tgid, recorded)
    place = np.searchsorted(addresses, starts)
    makers = np.zeros(len(starts), BOUNDARY)
    inside = place < len(addresses)
    hit = np.flatnonzero(inside)
    hit = hit[addresses[place[hit]] == starts[hit]]
    makers[hit] = rows[place[hit]]
    return makers


def _carried(starts: npt.NDArray[np.uint64], move: ProcessEvent) -> npt.NDArray[np.int64]:
    """The VMAs that begin inside of what was moved, where it is now."""
    target, size = move.values[2:4]
    first, last = np.searchsorted(starts, np.array([target + 1, target + size], np.uint64))
    return np.arange(first, last)
