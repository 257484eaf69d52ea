# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk by open_coded.bpf.c: bounded holds of mmap_lock, results through shared memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.model.table import VMA_ROW, Rows
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
from vmad.sources.bpf.libbpf import BpfObject

HERE = Path(__file__).parent

#: VMAs per hold of mmap_lock: about 0.3 ms at 300 ns each
CHUNK = 1024
#: VMAs per run of the program, that is per system call
BUDGET = 8192
#: seconds to keep trying for a contended mmap_lock
BUSY_DEADLINE = 0.05

Headers = npt.NDArray[np.void]
Entries = npt.NDArray[np.void]


class OpenCodedWalk:
    """The loaded program with its shared memory. Not safe for concurrent use."""

    name = "open-coded"

    def __init__(self, settings: bytes) -> None:
        self._object = BpfObject(HERE / "open_coded.bpf.o", settings)
        self._program = self._object.runner("run")
        self._control = Control.from_buffer(
            self._object.map_memory(".data.control", ctypes.sizeof(Control))
        )
        self._queue = self._array("queue", WANTED, MAX_HEADERS)
        self._headers = self._array("headers", HEADER, MAX_HEADERS)
        self._entries = self._array("entries", ENTRY, MAX_ENTRIES)
        self._rows = self._array("rows", VMA_ROW, MAX_ROWS)
        self.busy_total = 0

    def _array(self, name: str, dtype: np.dtype[np.void], length: int) -> npt.NDArray[np.void]:
        memory = self._object.map_memory(name, dtype.itemsize * length)
        return np.frombuffer(memory, dtype=dtype, count=length)

    def count(self, wanted: npt.NDArray[np.void]) -> Iterator[tuple[int, Headers, Entries]]:
        """Walk each wanted process (dtype WANTED) once and count.

        Yields (number of the first process, headers, entries): ``headers["pid"]`` is the
        position in ``wanted`` relative to that number; the arrays are valid until the next one
        is asked for. A process whose mmap_lock stays contended has status BUSY.
        """
        for first in range(0, len(wanted), MAX_HEADERS):
            batch = wanted[first : first + MAX_HEADERS]
            self._queue[: len(batch)] = batch
            control = self._control
            control.queued, control.position = len(batch), 0
            control.want_rows = control.headers = control.entries = 0
            for end in self._advance(len(batch)):
                used = self._headers[:end]
                yield first, used, self._entries[: control.entries]
                control.headers = control.entries = 0

    def _advance(self, queued: int) -> Iterator[int]:
        """Run until the queue is empty; yields the number of headers each time they are ready."""
        control = self._control
        deadline: float | None = None
        stuck_at = -1
        while control.position < queued:
            control.budget, control.chunk = BUDGET, CHUNK
            self._program.run()
            if control.status == Status.FULL:
                yield control.headers
            elif control.status == Status.BUSY:
                now = time.monotonic()
                if control.position != stuck_at or deadline is None:
                    stuck_at, deadline = control.position, now + BUSY_DEADLINE
                elif now > deadline:
                    self._give_up()
                    continue
                self.busy_total += 1
                time.sleep(0.0001)
        if control.headers:
            yield control.headers

    def _give_up(self) -> None:
        """Skip the process at the head of the queue, leaving a header that says BUSY."""
        control = self._control
        header = self._headers[control.headers]
        header["status"] = Status.BUSY
        header["pid"] = control.position
        header["entries"] = 0
        control.headers += 1
        control.abandon = 1

    def rows(self, wanted: npt.NDArray[np.void]) -> tuple[Rows, np.void]:
        """Every VMA of one wanted process (shape (1,)) and its header."""
        control = self._control
        self._queue[:1] = wanted
        control.queued, control.position = 1, 0
        control.want_rows, control.headers, control.entries, control.rows = 1, 0, 0, 0
        parts = []
        deadline = time.monotonic() + 20 * BUSY_DEADLINE
        while control.position < 1:
            control.budget, control.chunk = BUDGET, CHUNK
            self._program.run()
            parts.append(self._rows[: control.rows].copy())
            control.rows = 0
            if control.status == Status.BUSY:
                if time.monotonic() > deadline:
                    self._give_up()
                    self._program.run()
                    break
                time.sleep(0.0001)
        rows = np.concatenate(parts) if parts else np.empty(0, dtype=VMA_ROW)
        return rows, self._headers[0].copy()

    def close(self) -> None:
        """Unload. The shared memory stays until the last array that looks at it is gone."""
        self._object.close()
