# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The conditions: each leaves a pair [BASE, B), [B, END) in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from vmad.model.kernel_flags import KERNEL_FLAGS
from vmad.selfcheck.calls import (
    BASE,
    DROPPABLE,
    ELSEWHERE,
    GROWSDOWN,
    HALF,
    NONE,
    NORESERVE,
    PRIVATE,
    READ,
    RW,
    STACK,
    B,
    advise,
    bind,
    control,
    go_on_alone,
    go_on_in_child,
    lock_on_fault,
    map_memory,
    move,
    name_memory,
    protect,
    system_call,
    watch,
    write,
)

_NORMAL, _RANDOM, _DONTNEED = 0, 1, 4


class Condition(NamedTuple):
    """``build`` makes it; ``expects``: a reason that kernel evidence must name, if any.

    ``rebuilt``: the kernel is not asked to merge the pair, but its pages are moved into one area,
    which must do away with that reason.
    """

    name: str
    build: Callable[[], None]
    expects: str | None = None
    rebuilt: bool = False


def _whole() -> None:
    map_memory(BASE, 2 * HALF)


def _second_advised(advice: int) -> Callable[[], None]:
    def build() -> None:
        _whole()
        advise(B, HALF, advice)

    return build


def _second_mapped(flags: int, prot: int = RW) -> Callable[[], None]:
    def build() -> None:
        map_memory(BASE, HALF)
        map_memory(B, HALF, prot, flags)

    return build


def _on_second(call: Callable[[int, int], object]) -> Callable[[], None]:
    def build() -> None:
        _whole()
        call(B, HALF)

    return build


def _apart() -> None:
    """Both halves written while a hint differed: an anon_vma each."""
    _whole()
    advise(B, HALF, _RANDOM)
    write(BASE)
    write(B)
    advise(B, HALF, _NORMAL)


def _apart_then(call: Callable[[], object]) -> Callable[[], None]:
    def build() -> None:
        _apart()
        call()

    return build


def _was_writable() -> None:
    """Both read-only; A was writable once and written, so it stays accounted."""
    map_memory(BASE, HALF)
    write(BASE)
    protect(BASE, HALF, READ)
    map_memory(B, HALF, READ)


def _stack() -> None:
    """MAP_STACK sets VM_NOHUGEPAGE since 6.7; before, the two are one at once: no pair."""
    _second_mapped(PRIVATE | STACK)()


def _two_watchers() -> None:
    _whole()
    watch(BASE, HALF, 1)
    watch(B, HALF, 1)


def _zero_file() -> None:
    map_memory(BASE, HALF)
    fd = os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC)
    map_memory(B, HALF, fd=fd)


def _moved(faulted_a: bool) -> Callable[[], None]:
    def build() -> None:
        map_memory(BASE, HALF)
        if faulted_a:
            write(BASE)
        map_memory(ELSEWHERE, HALF)
        write(ELSEWHERE)
        move(ELSEWHERE, B, HALF)

    return build


def _swapped() -> None:
    map_memory(ELSEWHERE, 2 * HALF)
    write(ELSEWHERE, 2 * HALF)
    move(ELSEWHERE + HALF, BASE, HALF)
    move(ELSEWHERE, B, HALF)


def _fork_evens(*written_in_child: int) -> Callable[[], None]:
    """VM_LOCKED of B is not inherited: alike in the child, and never tried."""

    def build() -> None:
        _whole()
        lock_on_fault(B, HALF)
        go_on_in_child()
        for at in written_in_child:
            write(at)

    return build


def _fork_beside_fresh() -> None:
    map_memory(BASE, HALF)
    write(BASE)
    go_on_in_child()
    map_memory(B, HALF)


def _own_beside_fresh() -> None:
    """As before, but the parent holds none of the pages that are there."""
    _fork_beside_fresh()
    write(BASE)


def _swapped_then_alone() -> None:
    _swapped()
    go_on_alone()


def _fork_forgets_watcher() -> None:
    _on_second(lambda at, size: watch(at, size, 1))()
    go_on_in_child()


def _memory_merge() -> None:
    _second_advised(12)()
    control(67, 1)


def _pkey() -> None:
    _whole()
    key = system_call("pkey_alloc", 0, 0)
    system_call("pkey_mprotect", B, HALF, RW, key)


CONDITIONS: tuple[Condition, ...] = (
    Condition("access differs", _on_second(lambda at, size: protect(at, size, READ)),
              "vm_flags:access"),
    Condition("no access beside writable", _second_mapped(PRIVATE, NONE), "vm_flags:access"),
    *(
        Condition(flag.madvise.name, _second_advised(flag.madvise.number), flag.reason)
        for flag in KERNEL_FLAGS
        if flag.madvise is not None
    ),
    Condition("MADV_GUARD_INSTALL", _apart_then(lambda: advise(B, HALF, 102)), "anon_vma_differs"),
    Condition("mlock", _on_second(lock_on_fault), "vm_flags:lo"),
    Condition("MAP_NORESERVE", _second_mapped(PRIVATE | NORESERVE), "vm_flags:nr"),
    Condition("MAP_GROWSDOWN", _second_mapped(PRIVATE | GROWSDOWN), "vm_flags:gd"),
    Condition("MAP_STACK", _stack),
    Condition("MAP_DROPPABLE", _second_mapped(DROPPABLE), "vm_flags:dp"),
    Condition("mseal", _on_second(lambda at, size: system_call("mseal", at, size)), "vm_flags:sl"),
    Condition("protection key", _pkey, "vm_flags:pkey"),
    Condition("VM_ACCOUNT", _was_writable, "vm_flags:ac"),
    Condition("name", _on_second(lambda at, size: name_memory(at, size, b"b")), "anon_vma_name"),
    Condition("memory policy", _on_second(bind), "mempolicy"),
    Condition("userfaultfd, missing pages", _on_second(lambda at, size: watch(at, size, 1)),
              "vm_userfaultfd_ctx"),
    Condition("userfaultfd, write protection", _on_second(lambda at, size: watch(at, size, 2)),
              "vm_userfaultfd_ctx"),
    Condition("two userfaultfds", _two_watchers, "vm_userfaultfd_ctx"),
    Condition("/dev/zero beside anonymous", _zero_file, "vm_file"),
    Condition("moved beside unfaulted", _moved(False), "vm_pgoff"),
    Condition("moved beside faulted", _moved(True), "vm_pgoff"),
    Condition("halves swapped", _swapped, "vm_pgoff"),
    Condition("faulted apart", _apart, "anon_vma_differs"),
    Condition("faulted apart, then emptied",
              _apart_then(lambda: advise(BASE, 2 * HALF, _DONTNEED)), "anon_vma_differs"),
    Condition("faulted apart, then forked", _apart_then(go_on_in_child), "anon_vma_shared"),
    Condition("MREMAP_DONTUNMAP of the upper",
              _apart_then(lambda: move(B, ELSEWHERE, HALF, keep=True))),
    Condition("MREMAP_DONTUNMAP of the lower",
              _apart_then(lambda: move(BASE, ELSEWHERE, HALF, keep=True))),
    Condition("evened by fork, unfaulted", _fork_evens()),
    Condition("evened by fork, lower faulted", _fork_evens(BASE)),
    Condition("evened by fork, upper faulted", _fork_evens(B)),
    Condition("evened by fork, both faulted", _fork_evens(BASE, B)),
    Condition("inherited beside fresh", _fork_beside_fresh, "anon_vma_chain_not_singular"),
    Condition("fork forgets a userfaultfd", _fork_forgets_watcher),
    Condition("PR_SET_MEMORY_MERGE", _memory_merge),
    Condition("faulted apart, rebuilt", _apart, "anon_vma_differs", True),
    Condition("faulted apart, forked, alone again, rebuilt", _apart_then(go_on_alone),
              "anon_vma_shared", True),
    Condition("inherited beside fresh, rebuilt", _own_beside_fresh,
              "anon_vma_chain_not_singular", True),
    Condition("moved beside faulted, rebuilt", _moved(True), "vm_pgoff", True),
    Condition("swapped, forked, alone again, rebuilt", _swapped_then_alone,
              "vm_pgoff_shared", True),
)  # fmt: skip
