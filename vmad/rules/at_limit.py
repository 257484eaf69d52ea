# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which call fails at which map_count because of vm.max_map_count, as one dated table.

Each row was seen on booted kernels (5.10, 6.1, 6.12, 6.18, 7.2, 7.3): ``tests/vm/test_at_limit.py``
walks every one at a lowered limit. A count is the one before the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Call:
    """One way of calling the kernel that may need VMAs: "mprotect" "of a middle piece".

    ``syscalls`` are those that return the failure. ``since`` is the release that has the call.
    ``shown`` is False where a person is not told: other rows fail alike.
    """

    name: str
    of: str
    syscalls: tuple[str, ...]
    since: tuple[int, int] = (0, 0)
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Fails:
    """The call fails with ``error`` (as the program sees it) from limit + ``offset`` VMAs on."""

    offset: int
    error: str


@dataclass(frozen=True, slots=True)
class LimitEra:
    """What fails from one release on, until the next entry of :data:`LIMIT_ERAS`.

    ``since`` is (major, minor) of the mainline release. ``fails`` has every name of
    :data:`CALLS`; None: this call never fails because of the limit.
    """

    since: tuple[int, int]
    change: str
    source: str
    fails: Mapping[str, Fails | None]


_MPROTECT = ("mprotect", "pkey_mprotect")
_MLOCK = ("mlock", "mlock2", "munlock")
_MADVISE = ("madvise", "process_madvise")
_MIDDLE, _END = "of a middle piece", "of an end"

#: every call of the table; a middle piece cuts a VMA twice, an end once
CALLS: Mapping[str, Call] = MappingProxyType({
    "mmap": Call("mmap", "", ("mmap",)),
    "mmap_merging": Call("mmap", "that merges", ("mmap",), shown=False),
    "mmap_replacing": Call("mmap", "with MAP_FIXED over an area", ("mmap",), shown=False),
    "brk": Call("brk", "", ("brk",)),
    "shmat": Call("shmat", "", ("shmat",)),
    "mmap_inside": Call("mmap", "with MAP_FIXED inside an area", ("mmap",)),
    "munmap_middle": Call("munmap", _MIDDLE, ("munmap",)),
    "munmap_end": Call("munmap", _END, ("munmap",)),
    "mprotect_middle": Call("mprotect", _MIDDLE, _MPROTECT),
    "mprotect_end": Call("mprotect", _END, _MPROTECT),
    "mprotect_whole": Call("mprotect", "of a whole area", _MPROTECT),
    "mlock_middle": Call("mlock", _MIDDLE, _MLOCK),
    "mlock_end": Call("mlock", _END, _MLOCK),
    "mseal_middle": Call("mseal", _MIDDLE, ("mseal",), (6, 10)),
    "mseal_end": Call("mseal", _END, ("mseal",), (6, 10)),
    "mbind_middle": Call("mbind", _MIDDLE, ("mbind",), shown=False),
    "mbind_end": Call("mbind", _END, ("mbind",), shown=False),
    # by ioctl, whose number alone does not tell a userfaultfd
    "userfaultfd_middle": Call("userfaultfd", _MIDDLE, (), shown=False),
    "userfaultfd_end": Call("userfaultfd", _END, (), shown=False),
    "madvise_middle": Call("madvise", _MIDDLE, _MADVISE),
    "madvise_end": Call("madvise", _END, _MADVISE),
    "madvise_guard": Call("madvise", "for a guard region", _MADVISE, (6, 13)),
    "thread": Call("new threads", "", ("mprotect",)),
    "thread_guard_region": Call("new threads", "(glibc 2.42)", ("mmap",), (6, 13), shown=False),
    "mremap_fixed": Call("mremap", "to a fixed address", ("mremap",)),
    "mremap_dontunmap": Call("mremap", "with MREMAP_DONTUNMAP", ("mremap",)),
    "mremap_move": Call("mremap", "that moves", ("mremap",)),
    "mremap_grow": Call("mremap", "that grows in place", ("mremap",)),
    "mremap_shrink": Call("mremap", "that shrinks", ("mremap",)),
    "fork": Call("fork", "", ("fork", "vfork", "clone", "clone3")),
    "exec": Call("exec", "", ("execve", "execveat")),
    "stack_growth": Call("growth of the stack", "", ()),
    "merge_any": Call("prctl", "with PR_SET_MEMORY_MERGE", ("prctl",), (6, 4)),
})  # fmt: skip

_SINCE_5_10: dict[str, Fails | None] = {
    # mmap and brk test map_count > limit, before MAP_FIXED unmaps and before merging
    # (mm/mmap.c, do_mmap and do_brk_flags): a process may so reach limit + 1
    "mmap": Fails(1, "ENOMEM"),
    "mmap_merging": Fails(1, "ENOMEM"),
    "mmap_replacing": Fails(1, "ENOMEM"),
    "brk": Fails(1, "ENOMEM"),
    "shmat": Fails(1, "ENOMEM"),
    # a split tests map_count >= limit (split_vma), munmap only where the piece is a middle one
    "mmap_inside": Fails(0, "ENOMEM"),
    "munmap_middle": Fails(0, "ENOMEM"),
    "munmap_end": None,
    "mprotect_middle": Fails(-1, "ENOMEM"),
    "mprotect_end": Fails(0, "ENOMEM"),
    "mprotect_whole": None,
    "mlock_middle": Fails(-1, "ENOMEM"),
    "mlock_end": Fails(0, "ENOMEM"),
    "mseal_middle": Fails(-1, "ENOMEM"),
    "mseal_end": Fails(0, "ENOMEM"),
    "mbind_middle": Fails(-1, "ENOMEM"),
    "mbind_end": Fails(0, "ENOMEM"),
    "userfaultfd_middle": Fails(-1, "ENOMEM"),  # UFFDIO_REGISTER
    "userfaultfd_end": Fails(0, "ENOMEM"),
    # 5.10 hands the split's error on, see 5.17
    "madvise_middle": Fails(-1, "ENOMEM"),
    "madvise_end": Fails(0, "ENOMEM"),
    "madvise_guard": None,
    # glibc up to 2.41 and musl map the stack without access and then make all of it but the guard
    # writable: a mapping, then a cut. pthread_create(3) gives EAGAIN for every failure
    "thread": Fails(-1, "EAGAIN"),
    # glibc 2.42 on 6.13 maps it writable and lays a guard region into it (MADV_GUARD_INSTALL);
    # seen with 2.43, whose heap had room for what it keeps of a thread
    "thread_guard_region": Fails(1, "EAGAIN"),
    # move_vma: map_count >= limit - 3; mremap_to: map_count + 2 >= limit - 3
    "mremap_fixed": Fails(-5, "ENOMEM"),
    "mremap_dontunmap": Fails(-5, "ENOMEM"),
    "mremap_move": Fails(-3, "ENOMEM"),
    "mremap_grow": None,
    "mremap_shrink": None,
    "fork": None,
    "exec": None,
    "stack_growth": None,
    "merge_any": None,
}
_SINCE_5_17 = _SINCE_5_10 | {
    "madvise_middle": Fails(-1, "EAGAIN"),
    "madvise_end": Fails(0, "EAGAIN"),
}
_SINCE_7_1 = _SINCE_5_17 | {
    "mremap_fixed": Fails(-3, "ENOMEM"),
    "mremap_dontunmap": Fails(-4, "ENOMEM"),
    "mremap_grow": Fails(-3, "ENOMEM"),
    "mremap_shrink": Fails(-3, "ENOMEM"),
}

LIMIT_ERAS: tuple[LimitEra, ...] = (
    LimitEra(
        since=(5, 10),
        change="the oldest rules known here",
        source="mm/mmap.c: do_mmap, __split_vma, __do_munmap; mm/mremap.c: move_vma, mremap_to",
        fails=MappingProxyType(_SINCE_5_10),
    ),
    LimitEra(
        since=(5, 17),
        change="madvise calls want of a VMA EAGAIN, no longer ENOMEM",
        source="mm/madvise.c, madvise_vma_behavior",
        fails=MappingProxyType(_SINCE_5_17),
    ),
    LimitEra(
        since=(7, 1),
        change="every mremap needs four to spare (five with MREMAP_DONTUNMAP), also one that "
        "grows or shrinks in place",
        source="mm/mremap.c, check_map_count_against_split_early; 9b9b8d4aebf1 and what follows it",
        fails=MappingProxyType(_SINCE_7_1),
    ),
)  #: ascending by release


def limit_era_of(version: tuple[int, ...]) -> LimitEra:
    """The era of a release, given as (major, minor, …); one before the first has the first's."""
    newest = LIMIT_ERAS[0]
    for era in LIMIT_ERAS:
        if version[:2] >= era.since:
            newest = era
    return newest


def calls_at_limit(version: tuple[int, ...]) -> dict[str, Fails | None]:
    """The rows of a release: every call of :data:`CALLS` that it has."""
    fails = limit_era_of(version).fails
    return {name: fails[name] for name, call in CALLS.items() if version[:2] >= call.since}


def is_cut_off(map_count: int, limit: int, version: tuple[int, ...]) -> bool:
    """Whether some call fails at this count, so that it says nothing of how many were wanted."""
    rows = calls_at_limit(version).values()
    return map_count >= limit + min(fails.offset for fails in rows if fails is not None)


def syscalls_at_limit(version: tuple[int, ...]) -> dict[str, Fails]:
    """System call -> the lowest offset at which one of its uses fails, and its own error.

    A failure with fewer VMAs has another cause. Those that never fail because of the limit are
    not in it. What a new thread runs into is there as the call that libc makes: mprotect, ENOMEM.
    """
    by_syscall: dict[str, Fails] = {}
    for name, fails in calls_at_limit(version).items():
        if fails is None or name.startswith("thread"):
            continue
        for syscall in CALLS[name].syscalls:
            known = by_syscall.get(syscall)
            if known is None or fails.offset < known.offset:
                by_syscall[syscall] = fails
    return by_syscall
