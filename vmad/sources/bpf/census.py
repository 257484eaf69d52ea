# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every process's map_count in one pass of the task iterator: what the one-second samples cost.

The program writes only what has moved since its last pass. Mostly that is nothing, and then there
is nothing to do here either.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.rules.marked import LEAST
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.source import CENSUS_ROW, Census
from vmad.sources.time_namespace import boot_offset

HERE = Path(__file__).parent

#: as census.bpf.c has them
CGROUP_PATH = 512
BELONGS = 64
#: rows that are kept in the kernel, 1.4 MB; those beyond are written at every census
KEPT = 16384
#: rows that are mapped until there are more
FEW_KEPT = 1024
#: struct belonging: steps of the cgroup's path, the innermost first, each ended by a NUL
BELONGING = np.dtype(
    [
        ("pid", "<i8"),
        ("start_time", "<i8"),
        ("path_used", "<u4"),
        ("unused", "<u4"),
        ("path", f"V{CGROUP_PATH}"),
    ]
)
#: struct belongings
BELONGINGS = np.dtype([("written", "<u8"), ("last", BELONGING, (BELONGS,))])

#: struct census_row of census.bpf.c: the public census, then which task stands for the process
#: (its leader, or a thread that outlives it): pid in the initial namespace, ns since boot
KERNEL_CENSUS_ROW = np.dtype(
    [
        *((name, CENSUS_ROW[name]) for name in CENSUS_ROW.names or ()),
        ("task_pid", "<i8"),
        ("start_boottime", "<u8"),
    ]
)

#: struct reading
READING = np.dtype([("light", "<u4"), ("rows", "<u4"), ("moved", "<u4"), ("spare", "<u4")])


class KernelCensus:
    """The loaded census program. Several threads may take one.

    ``high`` VMAs or more are what makes it tell what a young process belongs to.
    """

    def __init__(self, high: int = LEAST) -> None:
        ns_per_tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        text = struct.pack("<Qqq", ns_per_tick, high, boot_offset())
        self._object = BpfObject(HERE / "census.bpf.o", text, entries={"kept": KEPT})
        try:
            self._belongings = self._object.array(".data.belongings", BELONGINGS, 1)[0]
            reading = self._object.map_memory(".data.reading", READING.itemsize)
            self._kept = self._object.array("kept", KERNEL_CENSUS_ROW, min(FEW_KEPT, KEPT))
        except OSError as error:
            self._object.close()
            raise EvidenceUnavailable(f"BPF: census.bpf.o: {error.strerror}") from error
        self._reading = memoryview(reading).cast("I")  # of plain numbers quicker than numpy
        self._link = self._object.attach_iterator("census")
        self._lock = threading.Lock()
        self._last: Census = np.empty(0, KERNEL_CENSUS_ROW)
        self._last_rows = -1

    def take(self, light: bool = False) -> Census:
        """One row (KERNEL_CENSUS_ROW) per process with an address space, ascending by pid.

        The same object as the last time where nothing has moved. ``light``: of processes that are
        known already nothing but map_count is looked at, and the name of those with many VMAs.
        """
        with self._lock:
            reading = self._reading
            reading[0], reading[1], reading[2] = light, 0, 0
            before, self._last_rows = self._last_rows, -1  # if reading fails, what moved is unknown
            beyond = self._link.read()
            rows = reading[1]
            if reading[2] or rows != before:
                self._last = self._copied(min(rows, KEPT), beyond)
            self._last_rows = rows
            return self._last

    def _copied(self, rows: int, beyond: bytes) -> Census:
        """What is kept, and what found no room there."""
        if rows > len(self._kept):
            self._kept = self._object.array("kept", KERNEL_CENSUS_ROW, KEPT)
        found = self._kept[:rows].copy()
        if beyond:
            found = np.concatenate((found, np.frombuffer(beyond, KERNEL_CENSUS_ROW)))
        pids = found["pid"]
        if not (pids[1:] > pids[:-1]).all():
            # each thread of a process whose leader has exited: the first stands for it
            found = found[np.unique(pids, return_index=True)[1]]
        return found

    def cgroup_of(self, pid: int, start_time: int) -> bytes | None:
        """The path in the unified hierarchy that a young process with many VMAs had in one of the
        last readings; None where it was none, or was in the root.
        """
        last: npt.NDArray[np.void] = self._belongings["last"].copy()
        those = last[(last["pid"] == pid) & (last["start_time"] == start_time)]
        for one in those:
            steps = one["path"].tobytes()[: int(one["path_used"])].split(b"\0")[:-1]
            if steps:
                return b"/" + b"/".join(reversed(steps))
        return None

    def close(self) -> None:
        """Unload."""
        self._link.close()
        self._object.close()
