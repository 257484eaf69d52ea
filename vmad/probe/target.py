# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What must be known of a target before it is stopped: read from /proc, nothing is touched."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vmad.probe.refusals import MayNotTrace, Refused, TargetGone
from vmad.sources.narrow import is_32_bit
from vmad.sources.procfs.living import place_by, place_of
from vmad.sources.procfs.stat import read_stat


@dataclass(frozen=True, slots=True)
class Target:
    """A process that may be probed, as far as /proc shows."""

    pid: int
    start_time: int
    comm: str
    seccomp: bool  #: some thread had a filter, or strict mode

    def still_the_same(self, proc: str = "/proc") -> bool:
        """Whether the pid still names this process, alive."""
        try:
            stat = read_stat(self.pid, proc)
        except OSError:
            return False
        same = stat.start_time == self.start_time
        return same and place_by(stat, self.pid, proc) is not None


def examine(pid: int, started: int | None = None, proc: str = "/proc") -> Target:
    """Look at a target. Raises Refused, TargetGone, MayNotTrace.

    ``started``: start time in clock ticks of the process that is meant; another one may have its
    number by now. None: whoever has it.
    """
    try:
        stat = read_stat(pid, proc)
        status = _fields(f"{proc}/{pid}/status")
        tasks = os.listdir(f"{proc}/{pid}/task")
        seccomp = any(filtered(pid, int(task), proc) for task in tasks)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise TargetGone(f"no process {pid}") from error
    if started not in (None, stat.start_time):
        raise TargetGone(f"process {pid} is gone: another one has its number now")
    name = stat.comm.decode("utf-8", "surrogateescape")
    if stat.kernel_thread:
        raise Refused(f"{pid} ({name}) is a kernel thread: it has no address space")
    if place_by(stat, pid, proc) is None:
        raise TargetGone(f"process {pid} ({name}) is a zombie: its address space is gone")
    if status.get("Tgid") != str(pid):
        raise Refused(f"{pid} is a thread of process {status.get('Tgid')}", "name the process")
    if pid == os.getpid():
        raise Refused("a process cannot stop itself")
    tracer = status.get("TracerPid", "0")
    if tracer != "0":
        raise Refused(
            f"process {pid} ({name}) is traced already by process {tracer}",
            "end the debugger or strace first",
        )
    if "shstk" in status.get("x86_Thread_features", ""):
        raise Refused(
            f"process {pid} ({name}) uses shadow stacks: it could not be left intact if the probe "
            "were killed"
        )
    _refuse_32_bit(pid, name, proc)
    return Target(pid, stat.start_time, name, seccomp)


def may_not_trace(pid: int, proc: str = "/proc") -> MayNotTrace:
    """The error for EPERM of ptrace: which right is missing."""
    scope = yama_scope(proc)
    if scope == 3:
        return MayNotTrace(
            f"process {pid} may not be traced: nobody may (kernel.yama.ptrace_scope is 3)",
            "that lasts until the next boot",
        )
    remedy = "needs CAP_SYS_PTRACE in the user namespace of the target"
    if scope == 1:
        remedy += ", or its permission by prctl(PR_SET_PTRACER) (kernel.yama.ptrace_scope is 1)"
    elif scope is None or scope == 0:
        remedy += ", or the same user and a target that may dump core (prctl(PR_SET_DUMPABLE))"
    return MayNotTrace(f"process {pid} may not be traced", remedy)


def yama_scope(proc: str = "/proc") -> int | None:
    """kernel.yama.ptrace_scope (admin-guide/LSM/Yama); None without Yama."""
    try:
        with open(f"{proc}/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def uninterruptible(pid: int, proc: str = "/proc") -> list[int]:
    """Threads in an uninterruptible sleep now: they would not stop."""
    found = []
    for task in os.listdir(f"{proc}/{pid}/task"):
        try:
            with open(f"{proc}/{pid}/task/{task}/stat", "rb") as file:
                text = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text[text.rindex(b")") + 2 :][:1] == b"D":
            found.append(int(task))
    return found


def _refuse_32_bit(pid: int, name: str, proc: str) -> None:
    try:
        narrow = is_32_bit(f"{proc}/{place_of(pid, proc)}")
    except FileNotFoundError as error:
        raise TargetGone(f"process {pid} is gone") from error
    except PermissionError as error:
        raise may_not_trace(pid, proc) from error
    if narrow:
        raise Refused(f"process {pid} ({name}) is a 32-bit program", "only 64-bit ones are probed")


def filtered(pid: int, tid: int, proc: str = "/proc") -> bool:
    """Whether a thread has a seccomp filter now; one that has ended has none."""
    try:
        return _fields(f"{proc}/{pid}/task/{tid}/status").get("Seccomp", "0") != "0"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _fields(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
