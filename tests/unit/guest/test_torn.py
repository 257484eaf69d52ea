# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What changes under the reader is read again, then reported as not read; it is never shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.guest.conftest import Recorded
from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.sources.guest.source import ATTEMPTS, GuestSource


class Place:
    """Where structures of a recorded process lie in physical memory."""

    def __init__(self, guest: Recorded, source: GuestSource, process: ProcessId) -> None:
        self.layout = guest.anchors.layout
        self.memory = guest.qemu.memory
        self.source = source
        self._space = source.guest.space
        source.census()
        row = source._row(process)
        self.task, self.mm = (self.physical(int(row[name])) for name in ("task", "mm"))

    def physical(self, address: int) -> int:
        return int(self._space.physical(np.array([address], np.uint64))[0])

    def field(self, structure: int, name: str) -> int:
        return structure + self.layout[name].offset

    def value(self, structure: int, name: str) -> int:
        place = self.layout[name]
        raw = self.memory.get(structure + place.offset, min(place.size, 8))
        return int.from_bytes(raw, "little")

    def change(self, structure: int, name: str, value: int) -> None:
        place = self.layout[name]
        raw = (value & (1 << 64) - 1).to_bytes(8, "little")[: min(place.size, 8)]
        self.memory.put(structure + place.offset, raw)

    @property
    def root(self) -> int:
        return self.physical(self.value(self.mm, "mm_struct.mm_mt.ma_root") & ~0xFF)

    def child(self, node: int, slot: int) -> int:
        """Where the word of an inner node's slot is."""
        return node + self.layout["maple_arange_64.slot"].offset + 8 * slot

    @property
    def leaf(self) -> int:
        return self.physical(self.memory.word(self.child(self.root, 0)) & ~0xFF)

    @property
    def vma(self) -> int:
        """The first VMA."""
        return self.physical(
            self.memory.word(self.leaf + self.layout["maple_range_64.slot"].offset)
        )


def one_more(place: Place) -> None:
    count = place.value(place.mm, "mm_struct.map_count")
    place.change(place.mm, "mm_struct.map_count", count + 1)


def a_writer_at_it(place: Place) -> None:
    place.change(place.mm, "mm_struct.mm_lock_seq.sequence", 7)


def lock_held_for_writing(place: Place) -> None:
    """The recorded layouts lack the lock: another word, which nothing else depends on, is it."""
    lock = "mm_struct.mmap_lock.count.counter"
    fields = {**place.layout.fields, lock: place.layout["mm_struct.total_vm"]}
    for layout in (place.layout, place.source.guest.anchors.layout):
        object.__setattr__(layout, "fields", fields)
    place.change(place.mm, lock, place.value(place.mm, lock) | 1)


def root_freed(place: Place) -> None:
    root = place.value(place.mm, "mm_struct.mm_mt.ma_root") & ~0xFF
    place.memory.put_word(place.root + place.layout["maple_node.parent"].offset, root)


def tree_in_a_circle(place: Place) -> None:
    encoded = place.value(place.mm, "mm_struct.mm_mt.ma_root")
    for slot in range(10):
        if place.memory.word(place.child(place.root, slot)):
            place.memory.put_word(place.child(place.root, slot), encoded & ~2)


def reserved_entry(place: Place) -> None:
    slot = place.leaf + place.layout["maple_range_64.slot"].offset
    place.memory.put_word(slot, 257 << 2 | 2)  # XA_ZERO_ENTRY


def wild_pointer(place: Place) -> None:
    slot = place.leaf + place.layout["maple_range_64.slot"].offset
    place.memory.put_word(slot, 0x4141_4141_4141_4140)


def pivots_out_of_order(place: Place) -> None:
    pivot = place.leaf + place.layout["maple_range_64.pivot"].offset
    first = place.memory.word(pivot)
    place.memory.put_word(pivot, place.memory.word(pivot + 8))
    place.memory.put_word(pivot + 8, first)


def vma_of_another(place: Place) -> None:
    place.change(place.vma, "vm_area_struct.vm_mm", 0xFFFF_8880_0000_1000)


def vma_moved(place: Place) -> None:
    start = place.value(place.vma, "vm_area_struct.vm_start")
    place.change(place.vma, "vm_area_struct.vm_start", start + 4096)


@pytest.mark.parametrize(
    "tear",
    [
        one_more, a_writer_at_it, lock_held_for_writing, root_freed, tree_in_a_circle,
        reserved_entry, wild_pointer, pivots_out_of_order, vma_of_another, vma_moved,
    ],
)  # fmt: skip
def test_torn_structures_are_not_shown(guest: Recorded, tear: Callable[[Place], None]) -> None:
    source, process = guest.open(), guest.processes[0]
    tear(Place(guest, source, process))
    with pytest.raises(CannotRead, match=rf"changed under the reader {ATTEMPTS} times .*--consist"):
        source.table(process)
    (found,) = source.summarise([process])
    assert isinstance(found, Unreadable)
    assert found.why is Unread.CHANGING
    source.close()


def test_what_stands_still_at_last_is_read(guest: Recorded) -> None:
    """mm_lock_seq moves during the first readings, as a process's own mmap moves it."""
    source, process = guest.open(), guest.processes[0]
    place = Place(guest, source, process)
    at = place.field(place.mm, "mm_struct.mm_lock_seq.sequence")
    reads = []

    def before_read(start: int, size: int) -> None:
        if start <= at < start + size:
            reads.append(start)
            if len(reads) < 2 * ATTEMPTS - 2:
                now = place.value(place.mm, "mm_struct.mm_lock_seq.sequence")
                place.change(place.mm, "mm_struct.mm_lock_seq.sequence", now + 2)

    guest.qemu.before_read = before_read
    table = source.table(process)
    assert len(table.rows) == table.map_count
    assert len(reads) > 2
    source.close()


def test_a_process_that_execs_in_the_middle_is_gone_from_that_scan_alone(guest: Recorded) -> None:
    source, process, other = guest.open(), guest.processes[0], guest.processes[1]
    place, donor = Place(guest, source, process), Place(guest, source, other)
    place.change(place.task, "task_struct.mm", donor.value(donor.task, "task_struct.mm"))

    (found,) = source.summarise([process])
    assert isinstance(found, Unreadable)
    assert found.why is Unread.GONE
    table, its = source.table(process), source.table(other)
    assert (table.id, its.id) == (process, other)
    assert len(table.rows) > 0
    assert table.rows.tobytes() == its.rows.tobytes()
    source.close()


def test_an_unknown_process_is_gone(guest: Recorded) -> None:
    source = guest.open()
    with pytest.raises(ProcessGone, match="process 99999 is not in the guest"):
        source.table(ProcessId(99999, 1))
    source.close()
