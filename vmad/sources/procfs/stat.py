# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""/proc/PID/stat: who a process is, and whether it has an address space (proc_pid_stat(5))."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

PF_KTHREAD = 0x0020_0000  #: include/linux/sched.h, unchanged since 2.6.27
_KTHREADD = 2


class Stat(NamedTuple):
    """The fields that vmad uses. ``vsize`` is bytes, ``start_time`` clock ticks since boot.

    ``activity`` is page faults plus clock ticks of CPU time: it only ever grows, and a process for
    which it stands still has hardly run.
    """

    comm: bytes
    state: bytes
    parent: int
    flags: int
    start_time: int
    vsize: int
    activity: int
    threads: int

    @property
    def kernel_thread(self) -> bool:
        """A kernel thread: it has no address space of its own."""
        return bool(self.flags & PF_KTHREAD)

    @property
    def kernel_thread_for_ever(self) -> bool:
        """A child of kthreadd; other kernel threads may still exec (usermode helpers)."""
        return self.kernel_thread and self.parent == _KTHREADD

    @property
    def dead(self) -> bool:
        """A zombie or dead: the address space is gone, the pid is not."""
        return self.state in (b"Z", b"X", b"x")


def parse_stat(text: bytes) -> Stat:
    """One line of stat. comm may hold anything, also ") " and newlines: its end is the last ')'.

    Raises ValueError on anything else.
    """
    first, last = text.index(b"(") + 1, text.rindex(b")")
    field = text[last + 2 :].split(b" ", 21)
    if len(field) < 22:
        raise ValueError(f"not a line of /proc/PID/stat: {text[:80]!r}")
    return Stat(
        comm=text[first:last],
        state=field[0],
        parent=int(field[1]),
        flags=int(field[6]),
        start_time=int(field[19]),
        vsize=int(field[20]),
        # minflt, majflt, utime, stime
        activity=int(field[7]) + int(field[9]) + int(field[11]) + int(field[12]),
        threads=int(field[17]),
    )


def read_stat(pid: int | str, proc: str = "/proc") -> Stat:
    """The stat of a process, or of a thread ("123/task/456").

    Takes no lock of its memory, so it cannot hang. Raises OSError.
    """
    fd = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 4096)
    finally:
        os.close(fd)
    try:
        return parse_stat(text)
    except ValueError as error:
        raise OSError(errno.EBADMSG, str(error)) from error
