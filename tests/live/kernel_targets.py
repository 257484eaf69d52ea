# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""More layouts, for what only the kernel's own structures show; runs inside the target child.

``target.run("import tests.live.kernel_targets")`` adds them to the child's. A layout that
forks goes on as the fork child, so that the child can still be told what to do: ``made.pid`` is its
pid.
"""

from __future__ import annotations

import ctypes
import os
import signal

from tests.live.layouts import (
    ANON,
    FIXED_NOREPLACE,
    HALF,
    LAYOUTS,
    MADV_HUGEPAGE,
    MADV_MERGEABLE,
    MADV_RANDOM,
    NONE,
    PAGE,
    PR_SET_MEMORY_MERGE,
    PR_SET_VMA,
    PR_SET_VMA_ANON_NAME,
    READ,
    RW,
    SIDE,
    STRIDE,
    SYS_MBIND,
    Report,
    advise,
    checked,
    faulted_apart_halves,
    libc,
    mapped,
    move,
    protect,
    write,
)  # fmt: skip

MADV_DONTFORK, MADV_WIPEONFORK, MADV_DONTDUMP = 10, 18, 16
MADV_GUARD_INSTALL = 102
PR_SET_PDEATHSIG = 1
SYS_MSEAL, SYS_SET_HOME_NODE = 462, 450
MPOL_PREFERRED, MPOL_BIND, MPOL_LOCAL, MPOL_F_STATIC_NODES = 1, 2, 4, 1 << 15
GROWSDOWN, STACK, DROPPABLE = 0x100, 0x20000, 0x08
SYS_PKEY_ALLOC, SYS_PKEY_MPROTECT = {"x86_64": (330, 329), "aarch64": (289, 288)}[
    os.uname().machine
]


def system_call(what: str, number: int, *arguments: int) -> int:
    return checked(libc.syscall(number, *arguments, *[0] * (6 - len(arguments))), what)


def bind(at: int, size: int, mode: int = MPOL_BIND, nodes: int = 1) -> None:
    mask = ctypes.c_ulong(nodes)
    place, bits = (ctypes.addressof(mask), 64) if nodes else (0, 0)
    system_call("mbind", SYS_MBIND, at, size, mode, place, bits)


def become_child() -> None:
    """Fork, and go on as the child; the parent stays until the child ends."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)


def lock_upper(at: int) -> None:
    mapped(at, 2 * HALF)
    checked(libc.mlock2(at + HALF, HALF, 1), "mlock2")


def child_untouched(at: int) -> None:
    """VM_LOCKED of B is lost by fork, so A and B become alike; nothing written."""
    lock_upper(at)
    become_child()


def child_inherits_a(at: int) -> None:
    """The same, A written before the fork: its chain is longer than one."""
    lock_upper(at)
    write(at)
    become_child()


def child_inherits_b(at: int) -> None:
    lock_upper(at)
    write(at + HALF)
    become_child()


def child_inherits_both(at: int) -> None:
    """The same, both written before the fork, each with an anon_vma of its own."""
    lock_upper(at)
    write(at)
    write(at + HALF)
    become_child()


def child_inherits_one(at: int) -> None:
    """One VMA written, then split by mlock, then forked."""
    mapped(at, 2 * HALF)
    write(at, 2 * SIDE)
    checked(libc.mlock2(at + HALF, HALF, 1), "mlock2")
    become_child()


def child_writes_a(at: int) -> None:
    lock_upper(at)
    become_child()
    write(at)


def child_writes_b(at: int) -> None:
    lock_upper(at)
    become_child()
    write(at + HALF)


def child_writes_both(at: int) -> None:
    """B takes over A's anon_vma at its first fault."""
    lock_upper(at)
    become_child()
    write(at)
    write(at + HALF)


def child_fresh_above(at: int) -> None:
    mapped(at, HALF)
    write(at)
    become_child()
    mapped(at + HALF, HALF)


def child_fresh_below(at: int) -> None:
    mapped(at + HALF, HALF)
    write(at + HALF)
    become_child()
    mapped(at, HALF)


def child_moves_inherited(at: int) -> None:
    """A written in the child, B inherited and moved behind it: B's chain is longer than one."""
    mapped(at + STRIDE // 2, HALF)
    write(at + STRIDE // 2)
    become_child()
    mapped(at, HALF)
    write(at)
    move(at + STRIDE // 2, at + HALF, HALF)


def child_policies_alike(at: int) -> None:
    """A and B bound alike by two policies; what else differed is lost by fork."""
    lock_upper(at)
    bind(at, HALF)
    bind(at + HALF, HALF)
    become_child()


def child_policies_modes(at: int) -> None:
    """The modes of the two policies differ."""
    lock_upper(at)
    bind(at, HALF)
    bind(at + HALF, HALF, MPOL_PREFERRED)
    become_child()


def child_policies_flags(at: int) -> None:
    """Only MPOL_F_STATIC_NODES differs."""
    lock_upper(at)
    bind(at, HALF)
    bind(at + HALF, HALF, MPOL_BIND | MPOL_F_STATIC_NODES)
    become_child()


def child_policies_static(at: int) -> None:
    """Alike, with the nodes that the user gave."""
    lock_upper(at)
    bind(at, HALF, MPOL_BIND | MPOL_F_STATIC_NODES)
    bind(at + HALF, HALF, MPOL_BIND | MPOL_F_STATIC_NODES)
    become_child()


def child_policies_local(at: int) -> None:
    lock_upper(at)
    bind(at, HALF, MPOL_LOCAL, 0)
    bind(at + HALF, HALF, MPOL_LOCAL, 0)
    become_child()


def child_policies_nodes(at: int) -> None:
    """Bound to node 0, and to node 1: needs two nodes."""
    lock_upper(at)
    bind(at, HALF)
    bind(at + HALF, HALF, nodes=2)
    become_child()


def child_home_nodes(at: int) -> None:
    """Only the home node differs (5.17)."""
    lock_upper(at)
    bind(at, HALF)
    bind(at + HALF, HALF)
    system_call("set_mempolicy_home_node", SYS_SET_HOME_NODE, at + HALF, HALF, 0, 0)
    become_child()


def child_names_alike(at: int, name: str = "a name") -> None:
    """A and B named alike; what else differed is lost by fork."""
    lock_upper(at)
    name_range(at, HALF, name)
    name_range(at + HALF, HALF, name)
    become_child()


def name_range(at: int, size: int, name: str) -> None:
    text = ctypes.create_string_buffer(name.encode())
    where = ctypes.addressof(text)
    checked(libc.prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, size, where), "PR_SET_VMA_ANON_NAME")


def parent_of_child(at: int) -> None:
    """faulted_apart with a living fork child, seen in the parent: neither side is exclusive."""
    faulted_apart_halves(at)
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pause()


def one_side_shared(at: int) -> None:
    """A was written before a fork child was made, B after, in the parent: only B is exclusive."""
    mapped(at, HALF)
    write(at)
    mapped(at + STRIDE // 2, HALF)
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pause()
    write(at + STRIDE // 2)
    move(at + STRIDE // 2, at + HALF, HALF)


def hint_differs_a_written(at: int) -> None:
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, MADV_RANDOM)
    write(at)


def advised(at: int, advice: int) -> None:
    """B has an advice, both are written."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, advice)
    write(at, 2 * SIDE)


def unadvised(at: int, to: int, back: int) -> None:
    """B was advised and advised back, both untouched; may merge again."""
    mapped(at, 2 * HALF)
    advise(at + HALF, HALF, to)
    advise(at + HALF, HALF, back)


def locked(at: int, onfault: int = 1) -> None:
    mapped(at, 2 * HALF)
    checked(libc.mlock2(at + HALF, HALF, onfault), "mlock2")


def sealed(at: int) -> None:
    mapped(at, 2 * HALF)
    system_call("mseal", SYS_MSEAL, at + HALF, HALF)


def keyed(at: int) -> None:
    mapped(at, 2 * HALF)
    key = system_call("pkey_alloc", SYS_PKEY_ALLOC)
    system_call("pkey_mprotect", SYS_PKEY_MPROTECT, at + HALF, HALF, RW, key)


def grows_down(at: int) -> None:
    """A plain, B made with MAP_GROWSDOWN (a guard gap of 256 pages lies between them)."""
    mapped(at, HALF)
    mapped(at + HALF, HALF, flags=GROWSDOWN)


def droppable(at: int) -> None:
    mapped(at, HALF)
    checked(libc.mmap(at + HALF, HALF, RW, DROPPABLE | ANON | FIXED_NOREPLACE, -1, 0), "mmap")


def stack(at: int) -> None:
    mapped(at, HALF)
    mapped(at + HALF, HALF, flags=STACK)


def none_beside_none(at: int, written: bool = False) -> None:
    """B was readable and writable once (and written to), A never; both without access now."""
    mapped(at, HALF, NONE)
    mapped(at + HALF, HALF)
    if written:
        write(at + HALF)
    protect(at + HALF, HALF, NONE)


def dev_zero_twice(at: int) -> None:
    """Private mappings of /dev/zero opened twice: two files, both anonymous memory."""
    for place in (at, at + HALF):
        fd = os.open("/dev/zero", os.O_RDWR)
        mapped(place, HALF, fd=fd)
        os.close(fd)


def dev_zero_split(at: int) -> None:
    """One private mapping of /dev/zero, split by a hint: the same file."""
    fd = os.open("/dev/zero", os.O_RDWR)
    mapped(at, 2 * HALF, fd=fd)
    os.close(fd)
    advise(at + HALF, HALF, MADV_RANDOM)


def dev_zero_halves_swapped(at: int) -> None:
    """halves_swapped of a private mapping of /dev/zero: its file keeps the page offsets."""
    old = at + STRIDE // 2
    fd = os.open("/dev/zero", os.O_RDWR)
    mapped(old, 2 * HALF, fd=fd)
    os.close(fd)
    write(old, 2 * SIDE)
    move(old + HALF, at, HALF)
    move(old, at + HALF, HALF)


def guarded(at: int) -> None:
    """A guard region in B (6.13), A with a hint: both untouched, B gets an anon_vma by it."""
    mapped(at, 2 * HALF)
    advise(at, HALF, MADV_RANDOM)
    advise(at + HALF, PAGE, MADV_GUARD_INSTALL)


def moved_unfaulted(at: int) -> None:
    """An untouched VMA moved behind a written one: mremap itself merges them."""
    mapped(at, HALF)
    write(at)
    mapped(at + STRIDE // 2, HALF)
    move(at + STRIDE // 2, at + HALF, HALF)


def run_of(at: int, faults: str) -> Report:
    """A latent run, one VMA per letter: a fork child, which loses the mlock that kept them apart.

    i: inherited, written before the fork; f: written in the child, sharing its anon_vma with the
    f beside it; o: written there with an anon_vma of its own (6.4 and KSM); m: written elsewhere
    and moved here; anything else: untouched.
    """
    places = [at + number * HALF for number in range(len(faults))]
    elsewhere = at + STRIDE // 2
    mapped(at, len(faults) * HALF)
    for place in places[1::2]:
        checked(libc.mlock2(place, HALF, 1), "mlock2")
    for letter, place in zip(faults, places, strict=True):
        if letter == "i":
            write(place)
    become_child()
    for letter, place in zip(faults, places, strict=True):
        if letter == "f":
            write(place)
        elif letter == "m":
            checked(libc.munmap(place, HALF), "munmap")
            mapped(elsewhere, HALF)
            write(elsewhere)
            move(elsewhere, place, HALF)
            elsewhere += 4 * HALF
    if "o" in faults:
        # KSM's flag keeps them apart until it is set everywhere, which merges nothing
        for place in places[1::2]:
            advise(place, HALF, MADV_MERGEABLE)
        for letter, place in zip(faults, places, strict=True):
            if letter == "o":
                write(place)
        checked(libc.prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0), "PR_SET_MEMORY_MERGE")
    return {"start": at, "end": at + len(faults) * HALF}


def distinct_facts(at: int, pairs: int) -> Report:
    """One-page VMAs; the flags of number n and of the one before differ by the bits of n."""
    mapped(at, (pairs + 1) * PAGE)
    flags = 0
    for number in range(1, pairs + 1):
        place = at + number * PAGE
        flags ^= number
        for bit, advice in enumerate((MADV_DONTFORK, MADV_WIPEONFORK, MADV_DONTDUMP)):
            if flags >> bit & 1:
                advise(place, PAGE, advice)
        if flags >> 3 & 1:
            checked(libc.mlock2(place, PAGE, 1), "mlock2")
        if flags >> 7 & 1:
            advise(place, PAGE, MADV_HUGEPAGE)
        protect(place, PAGE, flags >> 4 & 7)
    return {"start": at, "end": at + (pairs + 1) * PAGE}


def alternating(at: int, vmas: int, written: bool = False) -> Report:
    """``vmas`` VMAs of one page, every other without write access; ``written`` before."""
    mapped(at, vmas * PAGE)
    if written:
        write(at, vmas)
    for number in range(1, vmas, 2):
        protect(at + number * PAGE, PAGE, READ)
    return {"start": at, "end": at + vmas * PAGE}


KERNEL_LAYOUTS = (
    child_untouched, child_inherits_a, child_inherits_b, child_inherits_both, child_inherits_one,
    child_writes_a, child_writes_b, child_writes_both, child_fresh_above, child_fresh_below,
    child_moves_inherited, child_policies_alike, child_policies_modes, child_policies_flags,
    child_policies_static, child_policies_local, child_policies_nodes, child_home_nodes,
    child_names_alike, parent_of_child, one_side_shared, hint_differs_a_written, advised,
    unadvised, locked, sealed, keyed, grows_down, droppable, stack, none_beside_none,
    dev_zero_twice, dev_zero_split, dev_zero_halves_swapped, guarded, moved_unfaulted, run_of,
    distinct_facts, alternating,
)  # fmt: skip

LAYOUTS.update({layout.__name__: layout for layout in KERNEL_LAYOUTS})
