# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which other limit may be it when calls fail with ENOMEM or EAGAIN. Pure.

Sources: setrlimit(2), mm/mmap.c (may_expand_vm), mm/util.c (__vm_enough_memory), mm/mlock.c,
kernel/fork.c (copy_process), kernel/cgroup/pids.c, Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmad.model.other_limits import GroupUse, HostUse, OtherUse, ProcessUse

#: share of a limit from which it is named; of memory.max, whose use includes the page cache
NEAR, NEAR_WITH_CACHE = 0.8, 0.95
#: bytes that may be locked by default before 5.16 (9dcc38e2813e: 8 MiB since); less fits few users
SMALL_MEMLOCK = 64 << 10
#: fewer threads than this with stacks of their present size: then the stack is named
FEW_THREADS = 16

#: what the heuristics of the default refuse (mm/util.c, __vm_enough_memory): never near, as it is
#: the size of one request that decides
OVERCOMMIT = "vm.overcommit_memory=0"

_MAPPINGS = "mmap, mremap and brk ENOMEM, new threads EAGAIN"
_TASKS = "fork and new threads EAGAIN"


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit and its use. ``limit`` None: there is none.

    ``in_force`` says that it is near, or that it is lower than programs expect, so that it may be
    why calls fail. ``where`` is whose it is; ``fails`` how its failure looks; ``change`` what
    raises it; ``hits`` how often it was run into, where the kernel counts that.
    """

    name: str
    unit: str  #: "bytes", "tasks", "pages" or "threads"
    used: int | None
    limit: int | None
    in_force: bool
    where: str
    fails: str
    change: str
    exempt: bool = False  #: this process may pass it
    hits: int | None = None

    @property
    def share(self) -> float | None:
        """Used by limit."""
        if self.used is None or not self.limit:
            return None
        return self.used / self.limit


def other_bounds(use: OtherUse) -> tuple[Bound, ...]:
    """Every limit that is known, those in force first, the nearest of them first."""
    bounds = [*_of_process(use.process), *_of_groups(use.groups), *_of_host(use.host)]
    bounds += _of_stack(use.process, bounds)
    return tuple(sorted(bounds, key=lambda bound: (not bound.in_force, -(bound.share or 0))))


def _near(used: int | None, limit: int | None, share: float = NEAR) -> bool:
    return used is not None and limit is not None and used >= limit * share


def _of_process(process: ProcessUse) -> Iterator[Bound]:
    pid, held = process.pid, process.capabilities or frozenset()
    for name, used, words in (("AS", process.size, "v"), ("DATA", process.data, "d")):
        if name in process.soft:
            limit = process.soft[name]
            # unlimited unless somebody set it: then a single large request may be too much
            yield Bound(
                f"RLIMIT_{name}", "bytes", used, limit, limit is not None, "this process",
                _MAPPINGS, _prlimit(pid, name, f"ulimit -{words}"),
            )  # fmt: skip
    if "MEMLOCK" in process.soft:
        limit, exempt = process.soft["MEMLOCK"], "CAP_IPC_LOCK" in held
        small = limit is not None and limit <= SMALL_MEMLOCK
        yield Bound(
            "RLIMIT_MEMLOCK", "bytes", process.locked, limit,
            not exempt and (small or _near(process.locked, limit)), "this process",
            "mlock ENOMEM, mlockall and mmap with MAP_LOCKED EAGAIN",
            _prlimit(pid, "MEMLOCK", "ulimit -l"), exempt,
        )  # fmt: skip
    if "NPROC" in process.soft:
        limit = process.soft["NPROC"]
        exempt = process.user == 0 or bool(held & {"CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"})
        yield Bound(
            "RLIMIT_NPROC", "tasks", process.tasks_of_user, limit,
            not exempt and _near(process.tasks_of_user, limit),
            "its user" if process.user is None else f"all threads of uid {process.user}",
            _TASKS, _prlimit(pid, "NPROC", "ulimit -u"), exempt,
        )  # fmt: skip


def _of_stack(process: ProcessUse, bounds: list[Bound]) -> Iterator[Bound]:
    """A thread's stack is as large as RLIMIT_STACK when the program starts (pthread_create(3))."""
    stack = process.soft.get("STACK")
    if stack is None or stack == 0:
        return
    rooms = [
        bound.limit - bound.used
        for bound in bounds
        if bound.in_force and bound.unit == "bytes" and bound.fails.endswith("threads EAGAIN")
        if bound.limit is not None and bound.used is not None
    ]
    room = min(rooms, default=None)
    few = room is not None and room < stack * FEW_THREADS
    # glibc makes the whole stack writable at once: one request
    few |= any(bound.name == OVERCOMMIT and stack > (bound.limit or stack) for bound in bounds)
    yield Bound(
        "RLIMIT_STACK", "bytes", process.stack, stack, few, "each new thread",
        "new threads EAGAIN", "ulimit -s before it starts, or LimitSTACK= of its unit",
    )  # fmt: skip


def _of_groups(groups: tuple[GroupUse, ...]) -> Iterator[Bound]:
    for group in groups:
        if group.controller == "pids":
            near = _near(group.used, group.limit) or bool(group.hits)
            name, unit, fails, setting = "pids.max", "tasks", _TASKS, "TasksMax"
        else:
            near = _near(group.used, group.limit, NEAR_WITH_CACHE)
            name, unit, setting = "memory.max", "bytes", "MemoryMax"
            fails = "calls that need kernel memory ENOMEM, or the process is killed"
        yield Bound(
            name, unit, group.used, group.limit, group.limit is not None and near,
            f"control group {group.group}", fails,
            f"{setting}= of its unit, or write to {group.file}", hits=group.hits,
        )  # fmt: skip


def _of_host(host: HostUse) -> Iterator[Bound]:
    if host.overcommit == 2:
        yield Bound(
            "CommitLimit", "bytes", host.committed, host.commit_limit, True,
            "the host, by vm.overcommit_memory=2", _MAPPINGS,
            "sysctl -w vm.overcommit_ratio=N (percent of memory), more swap, or "
            "sysctl -w vm.overcommit_memory=0",
        )  # fmt: skip
    elif host.overcommit == 0 and host.memory_and_swap is not None:
        yield Bound(
            OVERCOMMIT, "bytes", None, host.memory_and_swap, False,
            "one request that is larger than memory and swap", _MAPPINGS,
            "MAP_NORESERVE, or sysctl -w vm.overcommit_memory=1",
        )  # fmt: skip
    for name, limit in (("kernel.threads-max", host.threads_max), ("kernel.pid_max", host.pid_max)):
        if limit is not None:
            yield Bound(
                name, "tasks", host.tasks, limit, _near(host.tasks, limit), "the host", _TASKS,
                f"sysctl -w {name}=N",
            )  # fmt: skip
    if host.huge_pages is not None and host.huge_pages_left is not None:
        used = host.huge_pages - host.huge_pages_left
        yield Bound(
            "vm.nr_hugepages", "pages", used, host.huge_pages,
            host.huge_pages > 0 and host.huge_pages_left <= 0, "the host",
            "mmap with MAP_HUGETLB ENOMEM", "sysctl -w vm.nr_hugepages=N",
        )  # fmt: skip


def _prlimit(pid: int, name: str, shell: str) -> str:
    option = name.lower()
    return f"prlimit --pid {pid} --{option}=N, {shell}, or Limit{name}= of its unit"
