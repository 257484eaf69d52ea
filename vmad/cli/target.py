# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a pid that a person typed to the process that is meant, or one line why there is none."""

from __future__ import annotations

import numpy as np

from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import ProcessId
from vmad.sources.capture import CaptureSource
from vmad.sources.procfs.living import place_by
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import Source, is_here


def find_process(source: Source, pid: int, proc: str = "/proc") -> ProcessId:
    """The process with this pid. Raises ProcessGone, CannotRead: both say what the pid is."""
    if isinstance(source, CaptureSource):
        census = source.census()
        found = census[census["pid"] == pid]
        if not len(found):
            for missed in source.unreadable:
                if missed.id.pid == pid:
                    raise CannotRead(f"process {pid} could not be read when it was captured")
            there = ", ".join(map(str, np.sort(census["pid"])[:5].tolist()))
            raise ProcessGone(f"process {pid} is not in the capture", f"it has {there}, …")
        return ProcessId(pid, int(found["start_time"][0]))
    if not is_here(source):
        return _process_of_guest(source, pid)
    return live_process(pid, proc)


def _process_of_guest(source: Source, pid: int) -> ProcessId:
    census = source.census()
    found = census[census["pid"] == pid]
    if not len(found):
        raise ProcessGone(
            f"the guest has no process {pid} with an address space",
            "vmad scan --all lists those that it has",
        )
    return ProcessId(pid, int(found["start_time"][0]))


def live_process(pid: int, proc: str = "/proc") -> ProcessId:
    """A process that runs here and has an address space. Raises ProcessGone, CannotRead."""
    try:
        stat = read_stat(pid, proc)
        leader = _leader(pid, proc)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessGone(f"no process {pid}") from error
    except OSError as error:
        raise CannotRead(f"{proc}/{pid}/stat: {error.strerror}") from error
    name = stat.comm.decode("utf-8", "surrogateescape")
    if leader != pid:
        raise ProcessGone(f"{pid} is a thread ({name}) of process {leader}", f"ask for {leader}")
    if stat.kernel_thread:
        raise ProcessGone(f"{pid} ({name}) is a kernel thread: it has no address space")
    if place_by(stat, pid, proc) is None:
        raise ProcessGone(f"process {pid} ({name}) is a zombie: its address space is gone")
    return ProcessId(pid, stat.start_time)


def _leader(pid: int, proc: str) -> int:
    """Tgid: /proc answers for the pid of any thread, though it lists only leaders (proc(5))."""
    with open(f"{proc}/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return pid
