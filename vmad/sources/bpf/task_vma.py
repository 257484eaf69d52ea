# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk by task_vma.bpf.c: the one of kernels without the open-coded iterator (5.12 to 6.9).

Later ones fall back on it for a process that does not hold still.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.model.table import VMA_ROW, Rows
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.layout import ENTRY, HEADER, Control, Status, Steady
from vmad.sources.bpf.queued import Entries, Headers

HERE = Path(__file__).parent

#: beyond this many processes one pass over everybody is cheaper than a link for each
LINKS_WORTH_MAKING = 64


class TaskVmaWalk:
    """The loaded program. Not safe for concurrent use.

    The kernel takes mmap_lock and waits for it, so a call may block as long as a target does:
    the caller runs it where that is bounded. It lets go of the lock whenever somebody else waits.
    """

    name = "task_vma"

    def __init__(self, settings: bytes) -> None:
        self._object = BpfObject(HERE / "task_vma.bpf.o", settings)
        self._control = Control.from_buffer(
            self._object.map_memory(".data.control", ctypes.sizeof(Control))
        )
        self._only = ctypes.c_uint32.from_buffer(self._object.map_memory(".data.only", 4))
        # 6.1 (f0d74c4da1f0): a link may name the process; with a tid instead of a pid the kernel
        # repeats the last buffer for ever
        try:
            self._object.attach_iterator("run", pid=1).close()
            self._links_name_processes = True
        except EvidenceUnavailable:
            self._links_name_processes = False
        self._everybody = self._object.attach_iterator("run")

    def count(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> Iterator[tuple[Headers, Entries]]:
        """As QueuedWalk.count."""
        if len(wanted) == 0:
            return
        self._control.want_rows, self._control.want_digest = 0, digest
        if self._links_name_processes and len(wanted) <= LINKS_WORTH_MAKING:
            text = b"".join(map(self._read_one, wanted))
        else:
            text = self._read_all(0)
        headers, entries = _records(text)
        found = {
            (int(header["task_pid"]), int(header["start_boottime"])): header for header in headers
        }
        result = np.zeros(len(wanted), dtype=HEADER)
        for position, (pid, _, start) in enumerate(wanted.tolist()):
            header = found.get((pid, start))
            if header is None:
                result[position]["status"] = Status.GONE
            else:
                result[position] = header
            result[position]["position"] = position
        result["status"][_cut_short(result)] = Status.GONE
        yield result, entries

    def rows(self, wanted: npt.NDArray[np.void], *, digest: bool = False) -> tuple[Rows, np.void]:
        """As QueuedWalk.rows."""
        self._control.want_rows, self._control.want_digest = 1, digest
        text = self._read_one(wanted[0])
        end = len(text) - HEADER.itemsize  # the header comes last
        if end >= 0:
            header = np.frombuffer(text, dtype=HEADER, offset=end)[0]
            if header["start_boottime"] == wanted["start_boottime"][0] and not _cut_short(header):
                return np.frombuffer(text[:end], dtype=VMA_ROW), header
        header = np.zeros(1, dtype=HEADER)[0]
        header["status"] = Status.GONE
        return np.empty(0, dtype=VMA_ROW), header

    def _read_one(self, wanted: np.void) -> bytes:
        """What the program writes for one process (dtype WANTED)."""
        self._only.value = int(wanted["task_pid"])
        if not self._links_name_processes:
            return self._read_all(int(wanted["task_pid"]))
        with self._object.attach_iterator("run", pid=int(wanted["seen_pid"])) as link:
            text = link.read()
        # Such a link of 6.1 (seen on 6.1.192; not on 6.12) shows nothing of a process whose leader
        # has exited; one that shows every task does.
        if not text and Path(f"/proc/{wanted['seen_pid']}").exists():
            text = self._read_all(int(wanted["task_pid"]))
        return text

    def _read_all(self, only: int) -> bytes:
        """What it writes for every process, or for the ``only`` one, by looking at all of them."""
        self._only.value = only
        return self._everybody.read()

    def close(self) -> None:
        """Unload."""
        self._everybody.close()
        self._object.close()


def _cut_short(headers: Headers | np.void) -> npt.NDArray[np.bool_]:
    """Which walks ended before their address space did: the kernel leaves one that exits or execs.

    Not to be told where the VMAs may have changed meanwhile.
    """
    still = headers["steady"] == Steady.YES
    return np.asarray(still & (headers["walked"] != headers["map_count"]))


def _records(text: bytes) -> tuple[Headers, Entries]:
    """Headers, each followed by its entries, taken apart: first_entry is set anew."""
    headers, parts, offset, total = [], [], 0, 0
    while offset < len(text):
        header = np.frombuffer(text, dtype=HEADER, count=1, offset=offset).copy()
        offset += HEADER.itemsize
        number = int(header["entries"][0])
        header["first_entry"] = total
        parts.append(np.frombuffer(text, dtype=ENTRY, count=number, offset=offset))
        offset += number * ENTRY.itemsize
        total += number
        headers.append(header)
    if not headers:
        return np.empty(0, dtype=HEADER), np.empty(0, dtype=ENTRY)
    return np.concatenate(headers), np.concatenate(parts)
