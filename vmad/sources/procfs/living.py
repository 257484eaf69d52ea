# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where /proc shows the address space of a process whose first thread may have exited.

A leader that has exited is a zombie without memory until its threads are gone too (de_thread() and
exit_notify(), kernel/exit.c); /proc/PID/maps then says ESRCH, while /proc/PID/task/TID/maps of any
thread that lives shows everything.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from vmad.sources.procfs.stat import Stat, read_stat


class Place(NamedTuple):
    """A directory below /proc ("123", "123/task/456"), whose task it is, and bytes of memory."""

    directory: str
    tid: int
    vsize: int


def place_by(stat: Stat, pid: int, proc: str = "/proc") -> Place | None:
    """Where the address space is shown of a process of which /proc/PID/stat says ``stat``.

    None: there is none, as of a kernel thread or a zombie all of whose threads are gone.
    """
    if stat.kernel_thread:
        return None
    if not stat.dead:
        return Place(str(pid), pid, stat.vsize)
    if stat.threads < 2:
        return None
    try:
        threads = sorted(map(int, os.listdir(f"{proc}/{pid}/task")))
    except OSError:
        return None
    for tid in threads:
        try:
            thread = read_stat(f"{pid}/task/{tid}", proc)
        except OSError:  # it has exited meanwhile
            continue
        if not thread.dead and thread.vsize:
            return Place(f"{pid}/task/{tid}", tid, thread.vsize)
    return None


def place_of(pid: int, proc: str = "/proc") -> str:
    """The directory below ``proc`` that shows the address space; the pid's own where none does.

    Raises OSError when there is no such process.
    """
    place = place_by(read_stat(pid, proc), pid, proc)
    return str(pid) if place is None else place.directory
