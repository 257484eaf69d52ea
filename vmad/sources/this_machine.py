# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What /proc says of processes that run here, whatever their address spaces are read by."""

from __future__ import annotations

import os

from vmad.errors import CannotRead, ProcessGone
from vmad.model.merge_attempts import MergeAttempts
from vmad.model.process import ProcessId
from vmad.rules.vma_cost import VmaCost
from vmad.sources.procfs.living import place_by, place_of
from vmad.sources.procfs.merge_counters import read_merge_attempts
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import SourceBase
from vmad.sources.vma_cost import read_vma_cost

#: bytes; /proc/PID/cgroup is one record of a dozen paths, each below PATH_MAX
_CGROUP_SIZE = 64 << 10


class ThisMachine(SourceBase):
    """Base of the sources whose processes run here. ``proc`` is where procfs is mounted."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc

    @property
    def here(self) -> bool:
        """They are."""
        return True

    @property
    def hostname(self) -> str | None:
        """uname(2)."""
        return os.uname().nodename

    @property
    def vma_cost(self) -> VmaCost | None:
        """By the kernel's slab caches or its BTF; None where it tells neither."""
        return read_vma_cost(self.proc)

    def merge_attempts(self) -> MergeAttempts | None:
        """Since boot; None on a kernel that does not count them."""
        return read_merge_attempts(self.proc)

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """The whole of /proc/PID/cgroup; None of one that is gone, or hidden by hidepid."""
        try:
            fd = os.open(f"{self.proc}/{process.pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(fd, _CGROUP_SIZE)
        except OSError:  # ESRCH: it exited between open and read
            return None
        finally:
            os.close(fd)

    def exe_of(self, process: ProcessId) -> bytes | None:
        """Its path while it had one; None without CAP_SYS_PTRACE over it."""
        try:
            path = self._link(str(process.pid))
        except FileNotFoundError:  # gone, or its leader alone
            try:
                path = self._link(place_of(process.pid, self.proc))
            except OSError:
                return None
        except OSError:
            return None
        return path.removesuffix(b" (deleted)")

    def _link(self, place: str) -> bytes:
        return os.readlink(os.fsencode(f"{self.proc}/{place}/exe"))

    def find(self, pid: int) -> ProcessId:
        """A process that has an address space. Raises ProcessGone, CannotRead."""
        try:
            stat = read_stat(pid, self.proc)
            leader = _leader(pid, self.proc)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise ProcessGone(f"no process {pid}") from error
        except OSError as error:
            raise CannotRead(f"{self.proc}/{pid}/stat: {error.strerror}") from error
        name = stat.comm.decode("utf-8", "surrogateescape")
        if leader != pid:
            raise ProcessGone(
                f"{pid} is a thread ({name}) of process {leader}", f"ask for {leader}"
            )
        if stat.kernel_thread:
            raise ProcessGone(f"{pid} ({name}) is a kernel thread: it has no address space")
        if place_by(stat, pid, self.proc) is None:
            raise ProcessGone(f"process {pid} ({name}) is a zombie: its address space is gone")
        return ProcessId(pid, stat.start_time)


def _leader(pid: int, proc: str) -> int:
    """Tgid: /proc answers for the pid of any thread, though it lists only leaders (proc(5))."""
    with open(f"{proc}/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return pid
