# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A walk that a program of type "syscall" makes (queue.bpf.h); results by shared memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.model.table import VMA_ROW, Rows
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.layout import (
    ENTRY,
    HEADER,
    MAX_ENTRIES,
    MAX_HEADERS,
    MAX_ROWS,
    WANTED,
    Control,
    Status,
)

HERE = Path(__file__).parent

#: entries that are mapped until there are more: a few for each of hundreds of processes
FEW_ENTRIES = 8192
#: VMAs in one go: where the kernel's iterator holds mmap_lock, about 0.2 ms at 400 ns each
CHUNK = 512
#: VMAs per run of the program, that is per system call
BUDGET = 8192
#: seconds to keep trying for a lock that is contended, without a VMA more; and in all
BUSY_DEADLINE = 0.05
BUSY_IN_ALL = 0.5
#: the same for a process that a person asks for
ROWS_DEADLINE = 1.0
BUSY_PAUSE = 0.0001

Headers = npt.NDArray[np.void]
Entries = npt.NDArray[np.void]


class QueuedWalk:
    """A loaded program with its shared memory. Not safe for concurrent use.

    It waits for no lock of a target. Raises EvidenceUnavailable.
    """

    name: str
    #: where the program is
    _file: str

    def __init__(self, settings: bytes) -> None:
        self._object = BpfObject(HERE / self._file, settings, since="6.10")
        self._program = self._object.runner("run")
        self._control = Control.from_buffer(
            self._object.map_memory(".data.control", ctypes.sizeof(Control))
        )
        self._queue = self._object.array("queue", WANTED, MAX_HEADERS)
        self._headers = self._object.array("headers", HEADER, MAX_HEADERS)
        self._entries = self._object.array("entries", ENTRY, FEW_ENTRIES)

    def count(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> Iterator[tuple[Headers, Entries]]:
        """Walk each of up to MAX_HEADERS wanted processes (dtype WANTED) once and count.

        Yields headers and entries: ``headers["position"]`` is the number in ``wanted``; the
        arrays are valid until the next ones are asked for. A process whose mmap_lock stays
        contended has status BUSY. ``digest`` asks for one of what was seen, to compare walks by.
        Whether a walk is exact its header says: see waiting.py.
        """
        control = self._control
        self._enqueue(wanted)
        control.want_rows, control.want_digest = 0, digest
        stuck_at, deadline, give_up_at = (-1, -1), 0.0, 0.0
        while control.position < control.queued:
            control.budget, control.chunk = BUDGET, CHUNK
            self._program.run()
            if control.status == Status.FULL:
                yield self._results()
            elif control.status == Status.BUSY:
                now = time.monotonic()
                here = control.position, int(self._headers[control.headers]["walked"])
                if here[0] != stuck_at[0]:
                    give_up_at = now + BUSY_IN_ALL
                if here != stuck_at:
                    stuck_at, deadline = here, now + BUSY_DEADLINE
                if now > min(deadline, give_up_at):
                    self._give_up()
                else:
                    time.sleep(BUSY_PAUSE)
        if control.headers:
            yield self._results()

    def rows(self, wanted: npt.NDArray[np.void], *, digest: bool = False) -> tuple[Rows, np.void]:
        """Every VMA of one wanted process (shape (1,)) and its header."""
        control = self._control
        self._enqueue(wanted)
        control.want_rows, control.want_digest = 1, digest
        rows = self._object.array("rows", VMA_ROW, MAX_ROWS)  # mapped while it is needed
        parts = [np.empty(0, dtype=VMA_ROW)]
        deadline = time.monotonic() + ROWS_DEADLINE
        while control.position < control.queued:
            control.budget, control.chunk, control.rows = BUDGET, CHUNK, 0
            self._program.run()
            parts.append(rows[: control.rows].copy())
            if control.status == Status.BUSY:
                if time.monotonic() > deadline:
                    self._give_up()
                else:
                    time.sleep(BUSY_PAUSE)
        return np.concatenate(parts), self._headers[0].copy()

    def _enqueue(self, wanted: npt.NDArray[np.void]) -> None:
        control = self._control
        self._queue[: len(wanted)] = wanted
        control.queued, control.position = len(wanted), 0
        control.headers = control.entries = control.rows = control.abandon = 0
        control.restart = 1

    def _results(self) -> tuple[Headers, Entries]:
        """What the program has written since the last call; it writes anew from the start."""
        control = self._control
        if control.entries > len(self._entries):
            self._entries = self._object.array("entries", ENTRY, MAX_ENTRIES)
        results = self._headers[: control.headers], self._entries[: control.entries]
        control.headers = control.entries = 0
        return results

    def _give_up(self) -> None:
        """Skip the process at the head of the queue, leaving a header that says BUSY."""
        control = self._control
        header = self._headers[control.headers]
        header["status"] = Status.BUSY
        header["position"] = control.position
        header["entries"] = 0
        control.headers += 1
        control.abandon = 1

    def close(self) -> None:
        """Unload. The shared memory stays until the last array that looks at it is gone."""
        self._object.close()
