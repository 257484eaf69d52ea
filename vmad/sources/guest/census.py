# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every process of a guest, by the table of pids of its first namespace, level by level in bulk."""

from __future__ import annotations

import numpy as np

from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import U64, Look, Torn
from vmad.sources.source import CENSUS_ROW, Census

PF_KTHREAD = 0x0020_0000
#: clock ticks of user space (USER_HZ, include/uapi/asm-generic/param.h)
NS_PER_TICK = 1_000_000_000 // 100
#: enum pid_type, include/linux/pid.h (4.19, 6883f81aac6f)
PIDTYPE_TGID = 1
#: levels of the radix tree: 22 bits of pid at 6 bits each
DEEPEST = 6
#: threads of all processes whose leader has exited that are looked at for the address space
MOST_THREADS = 1 << 16
#: pids: what a guest may claim takes no more than moments, and no more than some megabytes
MOST_PIDS = 1 << 18

#: the public census, and which mm it is: its address in the guest, never shown
GUEST_CENSUS_ROW = np.dtype(
    [*((name, CENSUS_ROW[name]) for name in CENSUS_ROW.names or ()), ("task", "<u8")]
)


def first_namespace(look: Look, layout: Layout, init_task: int) -> int:
    """The address of init_pid_ns, which init_task's own struct pid names."""
    pid = look.one(init_task, layout["task_struct.thread_pid"])
    ns = layout["pid.numbers"].offset + layout["upid.ns"].offset
    return int(look.words(np.array([pid], np.uint64), [ns])[0][0])


def take_census(look: Look, layout: Layout, namespace: int) -> Census:
    """One row (GUEST_CENSUS_ROW) per process with an address space, ascending by pid.

    ``mm`` holds the address of the mm_struct. Raises Torn.
    """
    pids, numbers = _pids(look, layout, namespace)
    tgid = layout["pid.tasks"].offset + 8 * PIDTYPE_TGID
    number_at = layout["pid.numbers"].offset + layout["upid.nr"].offset
    first, number = look.words(pids, [tgid, number_at & ~7])
    number = number >> np.uint64(number_at % 8 * 8) & np.uint64(0xFFFF_FFFF)
    if (number != numbers).any():
        raise Torn("the table of pids changed")
    leads = first != 0
    link = layout["task_struct.pid_links"].offset + 16 * PIDTYPE_TGID
    tasks = first[leads] - np.uint64(link)
    return _rows(look, layout, tasks, numbers[leads])


def _pids(look: Look, layout: Layout, namespace: int) -> tuple[U64, U64]:
    """(struct pid, its number) of every pid, ascending: an xarray (lib/xarray.c)."""
    head = look.one(namespace, layout["pid_namespace.idr.idr_rt.xa_head"])
    slots_field, shift_field = layout["xa_node.slots"], layout["xa_node.shift"]
    width = slots_field.size // 8
    offsets = [slots_field.offset + 8 * slot for slot in range(width)]
    level, base = np.array([head], np.uint64), np.zeros(1, np.uint64)
    for _ in range(DEEPEST):
        inner = (level & np.uint64(3)) == 2
        if not inner.any():
            return level, base
        if not inner.all():
            raise Torn("a level of the table of pids is of mixed kinds")
        if len(level) * width > MOST_PIDS * 2:
            raise Torn(f"the table of pids has more than {MOST_PIDS:,} of them")
        nodes = level - np.uint64(2)
        (shift,) = look.fields(nodes, [shift_field])
        if len(set(shift.tolist())) != 1 or int(shift[0]) > 60:
            raise Torn("the table of pids has nodes of mixed sizes")
        entries = np.stack(look.words(nodes, offsets), axis=1)
        index = base[:, None] + (np.arange(width, dtype=np.uint64) << shift[0])
        used = (entries != 0) & (entries & np.uint64(3) != 2) if shift[0] == 0 else entries != 0
        level, base = entries[used], index[used]
    raise Torn("the table of pids does not end")


def _rows(look: Look, layout: Layout, tasks: U64, pids: U64) -> Census:
    """Rows of those of the leaders whose process has an address space."""
    task = [layout[f"task_struct.{name}"] for name in ("tgid", "flags", "mm", "start_boottime")]
    tgid, flags, mm, start = look.fields(tasks, task)
    if (tgid != pids).any():
        raise Torn("a process's leader changed")
    ours = flags & np.uint64(PF_KTHREAD) == 0
    left = MOST_THREADS
    for row in np.flatnonzero(ours & (mm == 0)).tolist():
        mm[row], left = _mm_of_threads(look, layout, int(tasks[row]), left)
    ours &= mm != 0
    tasks, mm = tasks[ours], mm[ours]
    rows = np.zeros(len(tasks), GUEST_CENSUS_ROW)
    rows["pid"] = pids[ours]
    rows["start_time"] = start[ours] // np.uint64(NS_PER_TICK)
    rows["mm"] = mm
    rows["task"] = tasks
    rows["map_count"], rows["total_vm"], rows["lock_seq"] = mm_state(look, layout, mm)
    comm = layout["task_struct.comm"].offset
    rows["comm"] = [look.text(task + comm, 16) for task in tasks.tolist()]
    return rows


def mm_state(look: Look, layout: Layout, mm: U64) -> tuple[U64, U64, U64]:
    """(map_count, total_vm in pages, lock_seq) of address spaces; lock_seq all ones: none."""
    count = layout.first("mm_struct.map_count", "mm_struct.vma_count")
    assert count is not None
    fields = [count, layout["mm_struct.total_vm"]]
    seq = layout.first("mm_struct.mm_lock_seq.sequence", "mm_struct.mm_lock_seq")
    if seq is None:
        counts, sizes = look.fields(mm, fields)
        return counts, sizes, np.full(len(mm), 0xFFFF_FFFF_FFFF_FFFF, np.uint64)
    counts, sizes, seqs = look.fields(mm, [*fields, seq])
    return counts, sizes, seqs


def _mm_of_threads(look: Look, layout: Layout, leader: int, most: int) -> tuple[int, int]:
    """(mm of any thread of a leader that has exited, what is left of ``most`` threads to look at).

    The mm is 0 when the whole process has exited.
    """
    signal = look.one(leader, layout["task_struct.signal"])
    if not signal:
        return 0, most
    head = signal + layout["signal_struct.thread_head.next"].offset
    node_field = layout["task_struct.thread_node.next"]
    at = look.one(signal, layout["signal_struct.thread_head.next"])
    for left in range(most - 1, -1, -1):
        if at in (head, 0):
            return 0, left
        task = at - node_field.offset
        mm = look.one(task, layout["task_struct.mm"])
        if mm:
            return mm, left
        at = look.one(task, node_field)
    return 0, 0
