# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every process's map_count in one pass of the task iterator: what the one-second samples cost."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.rules.marked import LEAST
from vmad.sources.bpf.libbpf import BpfObject
from vmad.sources.source import CENSUS_ROW, Census
from vmad.sources.time_namespace import boot_offset

HERE = Path(__file__).parent

#: as census.bpf.c has them
CGROUP_PATH = 512
BELONGS = 64
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


class KernelCensus:
    """The loaded census program.

    ``high`` VMAs or more are what makes it tell what a young process belongs to.
    """

    def __init__(self, high: int = LEAST) -> None:
        ns_per_tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        text = struct.pack("<Qqq", ns_per_tick, high, boot_offset())
        self._object = BpfObject(HERE / "census.bpf.o", text)
        try:
            memory = self._object.map_memory(".data.belongings", BELONGINGS.itemsize)
        except OSError as error:
            self._object.close()
            raise EvidenceUnavailable(f"BPF: census.bpf.o: {error.strerror}") from error
        self._belongings = np.frombuffer(memory, BELONGINGS, 1)[0]
        self._link = self._object.attach_iterator("census")

    def take(self) -> Census:
        """One row (KERNEL_CENSUS_ROW) per process with an address space, ascending by pid."""
        rows = np.frombuffer(self._link.read(), dtype=KERNEL_CENSUS_ROW)
        pids = rows["pid"]
        if not (pids[1:] > pids[:-1]).all():
            # each thread of a process whose leader has exited: the first stands for it
            rows = rows[np.unique(pids, return_index=True)[1]]
        return rows

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
