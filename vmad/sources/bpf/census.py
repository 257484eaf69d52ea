# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every process's map_count in one pass of the task iterator: what the one-second samples cost."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from vmad.sources.bpf.libbpf import BpfObject
from vmad.sources.source import CENSUS_ROW, Census

HERE = Path(__file__).parent

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
    """The loaded census program."""

    def __init__(self) -> None:
        ns_per_tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._object = BpfObject(HERE / "census.bpf.o", struct.pack("<Q", ns_per_tick))
        self._link = self._object.attach_iterator("census")

    def take(self) -> Census:
        """One row (KERNEL_CENSUS_ROW) per process with an address space, ascending by pid."""
        rows = np.frombuffer(self._link.read(), dtype=KERNEL_CENSUS_ROW)
        pids = rows["pid"]
        if not (pids[1:] > pids[:-1]).all():
            # each thread of a process whose leader has exited: the first stands for it
            rows = rows[np.unique(pids, return_index=True)[1]]
        return rows

    def close(self) -> None:
        """Unload."""
        self._link.close()
        self._object.close()
