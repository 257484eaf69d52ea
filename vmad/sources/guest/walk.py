# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One reading of one address space of a guest, and whether anything changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from vmad.errors import ProcessGone
from vmad.model.flags import ACCESS
from vmad.model.table import VMA_ROW, Rows, opaque_ids
from vmad.sources.guest.attach import Guest
from vmad.sources.guest.census import NS_PER_TICK, mm_state, take_census
from vmad.sources.guest.kinds import area_of, kinds_of
from vmad.sources.guest.memory import U64, Look, Torn
from vmad.sources.guest.names import names_of
from vmad.sources.guest.pairs import Seen, facts_of_pairs, look_at
from vmad.sources.guest.tree import find_vmas
from vmad.sources.room import need

#: of memory, at most, for each VMA while a process is read
_BYTES_OF_A_VMA = 768
RWSEM_WRITER_LOCKED = 1  # kernel/locking/rwsem.c
_MAY_SHARE = np.uint64(1 << 7)  # VM_MAYSHARE: what maps prints as "s"


@dataclass(frozen=True)
class Walked:
    """One address space, whole; ``names`` by row, empty where none were asked for."""

    rows: Rows
    map_count: int
    names: dict[int, str]


def walk(guest: Guest, row: np.void, *, names: bool) -> Walked:
    """Read the process of a census row (GUEST_CENSUS_ROW); without ``names`` its rows are for
    counting alone, and hold kernel addresses.

    Raises Torn where anything does not fit or has changed, ProcessGone, NoRoom.
    """
    space, layout = guest.space, guest.anchors.layout
    mm = int(row["mm"])
    look = space.look()
    _check_identity(guest, look, row)
    before = _state(look, guest, mm)
    need(before.map_count * _BYTES_OF_A_VMA, f"reading its {before.map_count:,} VMAs")
    leaves = find_vmas(look, layout, mm, before.map_count)
    if len(leaves.entries) != before.map_count:
        raise Torn(
            f"{len(leaves.entries)} VMAs are in its tree, its map_count is {before.map_count}"
        )
    seen = look_at(look, layout, mm, leaves)
    area = area_of(look, layout, mm)
    facts, pair = facts_of_pairs(look, layout, seen, guest.kernel)
    rows = _rows(seen, facts, pair)
    if names:
        # kernel addresses are replaced by small numbers; what is counted here is not handed out
        for column in ("anon_vma", "file"):
            rows[column] = opaque_ids(rows[column])
    rows["kind"] = kinds_of(look, layout, seen, area)
    called = names_of(look, layout, seen, area) if names else {}
    again = space.look()
    _check_identity(guest, again, row)
    if before != _state(again, guest, mm):
        raise Torn("its VMAs changed meanwhile")
    # no mm_lock_seq before 6.4: two readings that say the same
    if before.lock_seq < 0 and not _same(seen, look_at(again, layout, mm, leaves)):
        raise Torn("its VMAs changed meanwhile")
    return Walked(rows, before.map_count, called)


def _check_identity(guest: Guest, look: Look, row: np.void) -> None:
    layout = guest.anchors.layout
    task = np.array([row["task"]], np.uint64)
    names = ("pid", "mm", "start_boottime")
    pid, mm, start = look.fields(task, [layout[f"task_struct.{name}"] for name in names])
    same = (
        int(pid[0]) == int(row["pid"])
        and int(start[0]) // NS_PER_TICK == int(row["start_time"])
        and int(mm[0]) in (int(row["mm"]), 0)
    )
    # a leader that has exited has no mm; its threads may go on with it
    if not same or (not mm[0] and not _still_listed(guest, row)):
        raise ProcessGone(
            f"process {int(row['pid'])}: it exited or started another program in the middle"
        )


def _still_listed(guest: Guest, row: np.void) -> bool:
    rows = take_census(guest.space.look(), guest.anchors.layout, guest.namespace)
    return bool(((rows["task"] == row["task"]) & (rows["mm"] == row["mm"])).any())


@dataclass(frozen=True, slots=True)
class _State:
    """What stays equal while an address space does; ``lock_seq`` -1: the kernel has none."""

    map_count: int
    total_vm: int
    lock_seq: int
    root: bytes


def _state(look: Look, guest: Guest, mm: int) -> _State:
    """Raises Torn while a writer is at it, where the kernel tells."""
    layout = guest.anchors.layout
    counts, sizes, seqs = mm_state(look, layout, np.array([mm], np.uint64))
    root = layout.first("mm_struct.mm_mt.ma_root", "mm_struct.mm_rb")
    assert root is not None
    seq = int(seqs.astype(np.int64)[0])
    if seq & 1 and layout.get("mm_struct.mm_lock_seq.sequence") is not None:
        raise Torn("its mmap_lock is held for writing")  # a seqcount since 6.14
    # before, the number moves only when the writer lets go; the lock itself tells of it until then
    lock = layout.get("mm_struct.mmap_lock.count.counter")
    if lock is not None and look.one(mm, lock) & RWSEM_WRITER_LOCKED:
        raise Torn("its mmap_lock is held for writing")
    return _State(int(counts[0]), int(sizes[0]), seq, look.bytes(mm + root.offset, 8))


def _same(one: Seen, other: Seen) -> bool:
    return all(
        np.array_equal(getattr(one, column.name), getattr(other, column.name))
        for column in fields(Seen)
    )


def _rows(seen: Seen, facts: U64, pair: npt.NDArray[np.uint8]) -> Rows:
    """Columns for the table; anon_vma and file are the kernel's addresses."""
    rows = np.zeros(len(seen.start), VMA_ROW)
    rows["start"], rows["end"] = seen.start, seen.end
    rows["flags"], rows["pgoff"] = seen.flags, seen.pgoff
    rows["facts"], rows["pair"] = facts, pair
    rows["anon_vma"], rows["file"] = seen.anon_vma, seen.file
    rows["chain"], rows["exclusive"] = seen.chain, seen.exclusive
    shared = (seen.flags & _MAY_SHARE) != 0
    rows["perms"] = (seen.flags & np.uint64(ACCESS)) | shared.astype(np.uint64) << np.uint64(3)
    return rows
