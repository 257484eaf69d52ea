# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk by held.bpf.c: under mmap_lock, which it waits for, a bounded number of VMAs a hold."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.model.table import VMA_ROW, Rows
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.layout import (
    ENTRY,
    HEADER,
    MAX_DISTINCT,
    MAX_ROWS,
    WANTED,
    Control,
    Status,
)
from vmad.sources.bpf.queued import Entries, Headers

HERE = Path(__file__).parent

#: VMAs per hold of mmap_lock: a fifth of a millisecond at 400 ns each, and most programs whole
CHUNK = 512
#: times of each hold that pass before the next: the target loses no more than a twentieth
REST = 20
#: times that a chunk is tried, where the lock is free for the task_vma iterator only
BUSY_TRIES = 20
BUSY_PAUSE = 0.0001


class HeldWalk:
    """The loaded program. Not safe for concurrent use.

    The kernel waits for mmap_lock, so a call may block as long as a target does: the caller runs
    it where that is bounded; ``progress`` is called before each hold. An address space of up to
    CHUNK VMAs is read in one.
    """

    name = "held"

    def __init__(self, settings: bytes, progress: Callable[[], None] = lambda: None) -> None:
        self._progress = progress
        self._object = BpfObject(HERE / "held.bpf.o", settings, since="6.10")
        array = self._object.array
        self._control = Control.from_buffer(
            self._object.map_memory(".data.control", ctypes.sizeof(Control))
        )
        self._wanted = array(".data.wanted", WANTED, 1)
        self._headers = array("headers", HEADER, 1)
        self._entries = array("entries", ENTRY, MAX_DISTINCT)

    def count(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> Iterator[tuple[Headers, Entries]]:
        """As QueuedWalk.count; one result for each."""
        self._control.want_rows, self._control.want_digest = 0, digest
        for position in range(len(wanted)):
            for _ in self._chunks(wanted[position]):
                pass
            self._headers[0]["position"] = position
            yield self._headers, self._entries

    def rows(self, wanted: npt.NDArray[np.void], *, digest: bool = False) -> tuple[Rows, np.void]:
        """As QueuedWalk.rows."""
        self._control.want_rows, self._control.want_digest = 1, digest
        rows = self._object.array("rows", VMA_ROW, MAX_ROWS)  # mapped while it is needed
        parts = [rows[:number].copy() for number in self._chunks(wanted[0])]
        return np.concatenate((rows[:0], *parts)), self._headers[0].copy()

    def _chunks(self, wanted: np.void) -> Iterator[int]:
        """Walk one process to its end, or to where it cannot be had; the rows of each."""
        control, self._wanted[0] = self._control, wanted
        control.chunk, control.restart = CHUNK, 1
        self._headers[0] = np.zeros((), HEADER)
        busy = 0
        with self._object.attach_iterator("run", pid=int(wanted["seen_pid"])) as link:
            while True:
                # left as it is when there is nobody for whom the kernel would call the program
                control.status, control.rows = Status.GONE, 0
                self._progress()
                began = time.monotonic()
                link.call_once()
                self._headers[0]["status"] = control.status
                yield control.rows
                if control.status == Status.BUSY and busy < BUSY_TRIES:
                    busy += 1
                    time.sleep(BUSY_PAUSE)
                    continue
                if control.status != Status.MORE:
                    return
                held = control.held_ns / 1e9
                waited = time.monotonic() - began - held
                time.sleep(max(held * REST - waited, 0.0))

    def close(self) -> None:
        """Unload. The shared memory stays until the last array that looks at it is gone."""
        self._object.close()
