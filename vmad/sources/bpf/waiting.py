# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading an address space that does not hold still: when a reading is exact, and what is tried.

Three things tell. *Steady*: nobody has had mmap_lock for writing from the first VMA to the last
(mm_lock_seq; or the lock was held all the time). *Whole*: as many VMAs were walked as the kernel
counted meanwhile (map_count). *Alike*: another reading has seen the very same VMAs.

- A reading that is steady and whole is the address space of one moment.
- Walks that wait for mmap_lock leave no VMA out. Where one is whole but not steady, and another
  is alike, then every VMA was so at both readings: told as exact, too. What lies between two holds
  of the lock and goes to and fro may have been so at either.
- The first walk waits for nothing and may leave out what is locked just then
  (vmad/sources/bpf/iterator.bpf.h): it is believed only when steady.

Whatever else is not told: the process is reported as changing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.model.table import Rows
from vmad.sources.bounded import BoundedReads, Tick
from vmad.sources.bpf.held import HeldWalk
from vmad.sources.bpf.layout import Status, Steady
from vmad.sources.bpf.queued import Entries, Headers, QueuedWalk
from vmad.sources.bpf.task_vma import TaskVmaWalk

#: readings of one address space by one walk, until one is exact; patience mostly ends them sooner.
#: With ten, a busy machine of two processors was refused an address space in 10 of 100 scans
TRIES = 40
#: seconds after which no further reading of one address space by one walk is begun, once there have
#: been LEAST: a machine without a free processor may need them for two, and two must be alike
PATIENCE = 5.0
LEAST = 3
#: seconds after which the waiting walks begin on no further process
PATIENCE_WITH_ALL = 25.0
#: the same where the main walk waits, and whoever calls it bounds it as a whole
SHORT_PATIENCE, SHORT_PATIENCE_WITH_ALL = 0.5, 1.0
#: seconds without progress, and more for each VMA, after which what waits for mmap_lock is given up
DEADLINE, PER_VMA = 2.0, 20e-6


class Walk(Protocol):
    """A way to walk an address space in the kernel."""

    name: str

    def count(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> Iterator[tuple[Headers, Entries]]: ...

    def rows(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> tuple[Rows, np.void]: ...

    def close(self) -> None: ...


class Reading(NamedTuple):
    """One process (dtype HEADER), and its entries (dtype ENTRY) or rows (dtype VMA_ROW)."""

    header: np.void
    content: npt.NDArray[np.void]


def is_exact(headers: Headers | np.void) -> npt.NDArray[np.bool_]:
    """Which readings are steady and whole."""
    return np.asarray(
        (headers["status"] == Status.OK)
        & (headers["steady"] == Steady.YES)
        & (headers["walked"] == headers["count_low"])
        & (headers["walked"] == headers["count_high"])
    )


def is_over(headers: Headers | np.void) -> npt.NDArray[np.bool_]:
    """Which processes have gone: another reading would say no more."""
    return np.isin(headers["status"], (Status.GONE, Status.NO_MM))


def is_whole(header: np.void) -> bool:
    """Whether as many VMAs were walked as the kernel counted at one time or another meanwhile."""
    return bool(
        header["status"] == Status.OK
        and not header["resumed"]
        and header["count_low"] <= header["walked"] <= header["count_high"]
    )


def settle(
    walks: Sequence[Walk], read: Callable[[Walk], Reading], patience: float
) -> Reading | None:
    """Read by each of the walks, which wait for mmap_lock, until a reading is exact.

    A reading of a process that has gone is returned, too; None: it changes all the time.
    """
    for walk in walks:
        until = time.monotonic() + patience
        seen = set()
        for made in range(1, TRIES + 1):
            try:
                reading = read(walk)
            except EvidenceUnavailable:
                break  # refused by now: the next walk, or none
            header = reading.header
            if is_exact(header) or is_over(header):
                return reading
            if header["status"] in (Status.BUSY, Status.UNKNOWN):
                break
            if is_whole(header):
                what = tuple(header[["mm", "walked", "digest"]].tolist())
                if what in seen:
                    return reading
                seen.add(what)
            if made >= LEAST and time.monotonic() > until:
                break
    return None


def _nothing(_: Hashable) -> None:
    pass


class WaitingWalks:
    """The walks that wait for mmap_lock, as long as its holder likes: loaded when first needed.

    Their reads are bounded by DEADLINE: while one has not come back, there is no other. ``lock`` is
    held by whoever uses the ``main`` walk, which serves here, too, where it waits itself.
    ``patience`` is that with one address space and one walk.
    """

    def __init__(
        self, main: Walk, lock: threading.Lock, settings: bytes, patience: float = PATIENCE
    ) -> None:
        self._with_one = patience
        self._settings = settings
        self._main = main
        # where the main walk waits itself, whoever calls it bounds its reads
        self._main_waits = not isinstance(main, QueuedWalk)
        self._lock = lock if self._main_waits else threading.Lock()
        self._reads = BoundedReads(1, DEADLINE)
        self._walks: list[Walk] | None = [main] if self._main_waits else None
        self._tick: Tick = _nothing

    @property
    def patience(self) -> float:
        """Seconds after which they begin on no further process."""
        return SHORT_PATIENCE_WITH_ALL if self._main_waits else PATIENCE_WITH_ALL

    def load(self) -> None:
        """Load them now, while the right to do so is there; those that do not load are left out."""
        with self._lock:
            self._loaded()

    def _loaded(self) -> list[Walk]:
        if self._walks is None:
            self._walks = []
            kinds: tuple[Callable[[], Walk], ...] = (
                lambda: HeldWalk(self._settings, lambda: self._tick(None)),
                lambda: TaskVmaWalk(self._settings),
            )
            for kind in kinds:
                # without it the next one serves, and without any it is reported as changing
                with suppress(EvidenceUnavailable):
                    self._walks.append(kind())
        return self._walks

    def read(self, vmas: int, read: Callable[[Walk], Reading]) -> Reading | None:
        """As ``settle``, of a process of about so many VMAs.

        Raises Stuck when mmap_lock is not to be had, or while an earlier read hangs.
        """
        with self._lock:
            walks = self._loaded()
            if self._main_waits:
                return settle(walks, read, min(self._with_one, SHORT_PATIENCE))
            self._reads.deadline = DEADLINE + vmas * PER_VMA
            return settle(walks, lambda walk: self._bounded(walk, read), self._with_one)

    def _bounded(self, walk: Walk, read: Callable[[Walk], Reading]) -> Reading:
        def work(tick: Tick) -> Reading:
            self._tick = tick
            return read(walk)

        return self._reads.run(work)

    def each(self, read: Callable[[Walk], Reading]) -> None:
        """Read once by each, whatever comes. Raises Stuck, EvidenceUnavailable, OSError."""
        with self._lock:
            for walk in self._loaded():
                self._bounded(walk, read)

    def close(self) -> None:
        """Unload; a walk that hangs keeps its program until it ends."""
        self._reads.close()
        if self._reads.stuck:
            return
        for walk in self._walks or ():
            if walk is not self._main:
                walk.close()
