# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads the limits of a process and of this host beside vm.max_map_count: proc(5), getrlimit(2).

What cannot be read (another user's process under hidepid, a kernel without the file) is absent.
"""

from __future__ import annotations

import os

from vmad.model.other_limits import HostUse, OtherUse, ProcessUse
from vmad.sources.cgroup_limits import read_group_use
from vmad.sources.rights import capability_names

#: how /proc/PID/limits calls them (fs/proc/base.c, lnames)
_LIMITS = {
    "Max address space": "AS",
    "Max data size": "DATA",
    "Max locked memory": "MEMLOCK",
    "Max processes": "NPROC",
    "Max stack size": "STACK",
}


def read_other_use(pid: int, proc: str = "/proc") -> OtherUse:
    """All that can be read of one process, its control groups and the host. Never raises."""
    return OtherUse(_process(pid, proc), _host(proc), read_group_use(pid, proc))


def _process(pid: int, proc: str) -> ProcessUse:
    status = _fields(f"{proc}/{pid}/status")
    user = _number(status.get("Uid"))
    return ProcessUse(
        pid=pid,
        soft=_soft_limits(f"{proc}/{pid}/limits"),
        size=_bytes(status.get("VmSize")),
        data=_bytes(status.get("VmData")),
        locked=_bytes(status.get("VmLck")),
        stack=_bytes(status.get("VmStk")),
        user=user,
        tasks_of_user=None if user is None else _tasks_of(user, proc),
        capabilities=_capabilities(pid, status.get("CapEff"), proc),
    )


def _soft_limits(path: str) -> dict[str, int | None]:
    limits: dict[str, int | None] = {}
    for line in _text(path).splitlines():
        name = _LIMITS.get(line[:26].strip())
        words = line[26:].split()
        if name is not None and words:
            limits[name] = None if words[0] == "unlimited" else int(words[0])
    return limits


def _capabilities(pid: int, mask: str | None, proc: str) -> frozenset[str] | None:
    """Those that lift limits: the kernel asks for them in the initial user namespace."""
    if mask is None:
        return None
    if _text(f"{proc}/{pid}/uid_map").split() != ["0", "0", "4294967295"]:
        return frozenset()
    return frozenset(capability_names(int(mask, 16)))


def _tasks_of(user: int, proc: str) -> int | None:
    """Threads whose real user this is: what RLIMIT_NPROC counts (kernel/cred.c, ucounts)."""
    tasks = 0
    try:
        pids = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return None
    for pid in pids:
        status = _fields(f"{proc}/{pid}/status")
        if _number(status.get("Uid")) == user:
            tasks += _number(status.get("Threads")) or 0
    return tasks


def _host(proc: str) -> HostUse:
    meminfo = _fields(f"{proc}/meminfo")
    memory, swap = _bytes(meminfo.get("MemTotal")), _bytes(meminfo.get("SwapTotal"))
    pages, free = _number(meminfo.get("HugePages_Total")), _number(meminfo.get("HugePages_Free"))
    reserved = _number(meminfo.get("HugePages_Rsvd"))
    loadavg = _text(f"{proc}/loadavg").split()
    return HostUse(
        overcommit=_number(_text(f"{proc}/sys/vm/overcommit_memory")),
        commit_limit=_bytes(meminfo.get("CommitLimit")),
        committed=_bytes(meminfo.get("Committed_AS")),
        memory_and_swap=None if memory is None or swap is None else memory + swap,
        # "0.1 0.2 0.3 RUNNING/TASKS LAST_PID"
        tasks=_number(loadavg[3].partition("/")[2]) if len(loadavg) > 3 else None,
        threads_max=_number(_text(f"{proc}/sys/kernel/threads-max")),
        pid_max=_number(_text(f"{proc}/sys/kernel/pid_max")),
        huge_pages=pages,
        huge_pages_left=None if free is None or reserved is None else free - reserved,
    )


def _fields(path: str) -> dict[str, str]:
    """ "Name:  value" lines; none where the file cannot be read."""
    pairs = (line.partition(":") for line in _text(path).splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _number(text: str | None) -> int | None:
    words = (text or "").split()
    return int(words[0]) if words and words[0].isdigit() else None


def _bytes(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else number << 10  # kB are KiB there
