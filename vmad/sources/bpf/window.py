# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A few VMAs of one process by window.bpf.c: microseconds, whatever its number of VMAs."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import NamedTuple

from vmad.errors import CannotRead, ProcessGone
from vmad.model.facts import RUN_KEYS
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.model.table import VMA_ROW
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.census import KernelCensus
from vmad.sources.bpf.layout import MAX_ROWS, Control, Status, settings

HERE = Path(__file__).parent
_TRIES = 50


#: VMA_ROW without its spare bytes
_ROW = struct.Struct("<7Q5B3x")


class WindowRow(NamedTuple):
    """One row, its fields as in VMA_ROW."""

    start: int
    end: int
    flags: int
    facts: int
    pgoff: int
    anon_vma: int
    file: int
    chain: int
    exclusive: int
    perms: int
    kind: int
    pair: int


def rows_of(raw: bytes | memoryview) -> list[WindowRow]:
    """Rows of :meth:`KernelWindow.raw`."""
    return [WindowRow(*row) for row in _ROW.iter_unpack(raw)]


class _Window(ctypes.Structure):
    _fields_ = (
        ("start_boottime", ctypes.c_uint64),
        ("from_", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("limit", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("map_count", ctypes.c_uint32),
        ("users", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
    )


class KernelWindow:
    """The loaded program, aimed at one process.

    ``anon_vma`` and ``file`` of its rows are kernel addresses: they can be compared between two
    looks, and must not leave the program. Raises EvidenceUnavailable, ProcessGone.
    """

    def __init__(self, kernel: KernelInfo, process: ProcessId) -> None:
        census = KernelCensus()
        try:
            rows = census.take()
        finally:
            census.close()
        found = rows[(rows["pid"] == process.pid) & (rows["start_time"] == process.start_time)]
        if not len(found):
            raise ProcessGone(f"process {process.pid} is gone")
        none = bytes(RUN_KEYS)
        text = settings(kernel, 0, (none, none))
        self._pid = process.pid
        self._object = BpfObject(HERE / "window.bpf.o", text)
        self._program = self._object.runner("look")
        self._control = Control.from_buffer(
            self._object.map_memory(".data.control", ctypes.sizeof(Control))
        )
        self._window = _Window.from_buffer(
            self._object.map_memory(".data.window", ctypes.sizeof(_Window))
        )
        self._rows = memoryview(self._object.map_memory("rows", VMA_ROW.itemsize * MAX_ROWS))
        self._window.pid = int(found["task_pid"][0])
        self._window.start_boottime = int(found["start_boottime"][0])

    def look(self, address: int, limit: int) -> tuple[list[WindowRow], int]:
        """Up to ``limit`` VMAs (at most MAX_ROWS) and map_count.

        The first is the one that holds ``address``, or the next above; its ``pair`` is 0. Plain
        tuples: for a handful of rows NumPy costs more than it saves. Raises ProcessGone,
        CannotRead (mmap_lock contended, or the VMAs changed meanwhile, many times).
        """
        return rows_of(self.raw(address, limit)), self._window.map_count

    def raw(self, address: int, limit: int) -> memoryview:
        """The same rows as they are, until the next look: to see whether anything has changed."""
        window = self._window
        window.from_, window.limit = address, limit
        for _ in range(_TRIES):
            self._program.run()
            if window.status == Status.OK:
                return self._rows[: self._control.rows * VMA_ROW.itemsize]
            if window.status != Status.BUSY:
                raise ProcessGone(f"process {self._pid} is gone")
        raise CannotRead(f"process {self._pid}: its VMAs changed at every look", "try again")

    @property
    def users(self) -> int:
        """Threads that have the address space, of whatever process, when it was looked at last.

        Whoever reads it just then may be counted too (mm_users).
        """
        return int(self._window.users)

    def close(self) -> None:
        """Unload."""
        self._object.close()
