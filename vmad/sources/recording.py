# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Records what a source sees into a capture, with all that is needed to judge it elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from vmad import __version__
from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import Evidence, ProcessId, Unread, Unreadable
from vmad.sources.capture_writer import CaptureWriter
from vmad.sources.names import named_or_not
from vmad.sources.rights import effective_capabilities
from vmad.sources.source import Source, why_unread

#: settings of the kernel that decide which VMAs there are and which conditions exist
SETTINGS = (
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/overcommit_ratio",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/ksm/run",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What went into a capture."""

    processes: int
    vmas: int
    unreadable: tuple[Unreadable, ...]


def record(
    source: Source,
    writer: CaptureWriter,
    pids: Collection[int] | None,
    step: Callable[[int, int], None],
) -> Recorded:
    """Record every process, or those of ``pids``, and finish the capture.

    A process that cannot be read is recorded as such. Raises CannotWrite.
    """
    census = source.census()
    rows = [row for row in census if pids is None or int(row["pid"]) in pids]
    unreadable: list[Unreadable] = []
    read = vmas = 0
    for done, row in enumerate(rows, 1):
        process = ProcessId(int(row["pid"]), int(row["start_time"]))
        comm = row["comm"].decode("utf-8", "surrogateescape")
        try:
            table = source.table(process)
        except ProcessGone as error:
            unreadable.append(Unreadable(process, comm, Unread.GONE, str(error)))
        except CannotRead as error:
            unreadable.append(Unreadable(process, comm, why_unread(error), str(error)))
        else:
            if source.evidence is Evidence.KERNEL and source.here and not table.paths:
                table = named_or_not(table)
            writer.add(table, int(row["lock_seq"]), int(row["total_vm"]))
            read, vmas = read + 1, vmas + len(table.rows)
        step(done, len(rows))
    there = {int(row["pid"]) for row in rows}
    for pid in sorted(set(pids or ()) - there):
        unreadable.append(Unreadable(ProcessId(pid, 0), "", Unread.GONE, f"no process {pid}"))
    for missed in unreadable:
        writer.add_unreadable(missed)
    writer.finish(_meta(source, writer.keeps_names))
    return Recorded(read, vmas, tuple(unreadable))


def _meta(source: Source, names: bool) -> dict[str, Any]:
    kernel = source.kernel
    return {
        "vmad": __version__,
        "taken_at": int(time.time()),
        "hostname": source.hostname if names else None,
        "names": names,
        "kernel": {
            "release": kernel.release,
            "machine": kernel.machine,
            "patched": kernel.patched,
            "merge_switch": kernel.merge_switch,
        },
        "evidence": source.evidence.value,
        "walk": source.health().walk,
        "page_size": kernel.page_size,
        "max_map_count": source.max_map_count,
        "settings": _settings() if source.here else {},
        "rights": {"uid": os.geteuid(), "capabilities": list(effective_capabilities())},
    }


def _settings() -> dict[str, str]:
    return {path: text for path in SETTINGS if (text := _setting(path)) is not None}


def _setting(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:  # not in this kernel, or not for us: absent, not empty
        return None
