# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Both ways to memory give the same; a guest that is stopped for a walk always goes on."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.guest.conftest import Recorded
from tests.unit.guest.fake_qemu import FakeQemu, Memory
from vmad.errors import TargetUnavailable
from vmad.model.stops import Stops
from vmad.sources.guest.memory import AddressSpace
from vmad.sources.guest.paging import Image
from vmad.sources.guest.physical import NotRam, PhysicalMemory, Range, _ram
from vmad.sources.guest.qmp import Monitor

MTREE = """\
FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, ram): not this one

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-000000000009ffff (prio 0, ram): mem0
  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem
  00000000000c0000-00000000000c3fff (prio 0, rom): mem0 @00000000000c0000
  0000000000100000-00000000001fffff (prio 0, ram): mem0 @0000000000100000
  0000000000200000-00000000002fffff (prio -1, ram): mem1
"""


def test_ram_is_what_the_processors_see_of_it() -> None:
    expected = [Range(0, 0xA0000), Range(0x100000, 0x200000), Range(0x200000, 0x300000)]
    assert _ram(MTREE) == expected


def filled() -> Memory:
    memory = Memory()
    for page in range(0x100, 0x300, 0x10):
        memory.put(page << 12, page.to_bytes(2, "little") * 2048)
    return memory


def directly(host: mmap.mmap, wrong: bool = False) -> dict[str, str]:
    """The answers of a monitor whose guest's memory is ``host``."""
    base = ctypes.addressof(ctypes.c_char.from_buffer(host)) + (4096 if wrong else 0)
    answers = {"info mtree -f": MTREE}
    for address in (0, 0x9FFFF, 0x100000, 0x1FFFFF, 0x200000, 0x2FFFFF):
        where = base + address
        answers[f"gpa2hva {address:#x}"] = (
            f"Host virtual address for {address:#x} (mem0) is {where:#x}\r\n"
        )
    return answers


RANGES = [Range(0x1F0FF0, 0x200010), Range(0x2F0008, 0x2F0010), Range(0x100000, 0x101000)]


def test_memory_comes_through_the_socket(tmp_path: Path) -> None:
    with (
        FakeQemu(tmp_path / "s", filled(), {"info mtree -f": MTREE}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        memory = PhysicalMemory(monitor)
        memory.try_direct(0x100000)
        assert memory.way == "pmemsave"
        assert "does not tell where the guest's memory is" in (memory.why_not_direct or "")
        expected = b"".join(qemu.memory.get(r.start, r.size) for r in RANGES)
        assert memory.read_all(RANGES) == expected
        many = [Range(page << 12, (page << 12) + 8) for page in range(0x100, 0x200)]
        assert memory.read_all(many) == b"".join(qemu.memory.get(r.start, 8) for r in many)
        memory.close()


def test_memory_comes_out_of_qemu_itself(tmp_path: Path) -> None:
    host = mmap.mmap(-1, 0x300000)
    memory_there = filled()
    for page, raw in memory_there.pages.items():
        host[page << 12 : (page << 12) + 4096] = bytes(raw)
    with (
        FakeQemu(tmp_path / "s", memory_there, directly(host)) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        memory = PhysicalMemory(monitor)
        memory.try_direct(0x100000)
        assert (memory.way, memory.why_not_direct) == ("direct", None)
        before = qemu.asked.count("pmemsave")
        expected = b"".join(qemu.memory.get(r.start, r.size) for r in RANGES)
        assert memory.read_all(RANGES) == expected
        assert qemu.asked.count("pmemsave") == before
        memory.close()


def test_what_is_not_the_guests_memory_is_not_taken_for_it(tmp_path: Path) -> None:
    """libvirt opens the socket itself: then it is not QEMU that listens."""
    host = mmap.mmap(-1, 0x300000 + 4096)
    with (
        FakeQemu(tmp_path / "s", filled(), directly(host, wrong=True)) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        memory = PhysicalMemory(monitor)
        memory.try_direct(0x100000)
        assert memory.way == "pmemsave"
        assert memory.why_not_direct == "what listens on the socket is not the guest's QEMU"
        memory.close()


def test_what_is_read_along_is_not_kept(tmp_path: Path) -> None:
    """Pages 64 KiB apart come in pieces; a hole between two of them does no harm."""
    with (
        FakeQemu(tmp_path / "s", filled(), {"info mtree -f": MTREE}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        memory = PhysicalMemory(monitor)
        look = AddressSpace(memory, Image(1 << 62, 0, 0), 0).look()
        pages = np.array([0x9F, *range(0x100, 0x300, 0x10)], np.uint64)
        (found,) = look.words(pages << np.uint64(12), [8])
        assert found.tolist() == [qemu.memory.word((page << 12) + 8) for page in pages.tolist()]
        assert qemu.asked.count("pmemsave") <= len(pages)
        assert look._used == len(pages)
        (again,) = look.words(pages[::-1] << np.uint64(12), [8])
        assert again.tolist() == found.tolist()[::-1]
        memory.close()


@pytest.mark.parametrize("start", [0x9FFFC, 0xA0000, 0xC0000, 0x2FFFFC, 1 << 40])
def test_devices_and_holes_are_never_read(tmp_path: Path, start: int) -> None:
    with (
        FakeQemu(tmp_path / "s", filled(), {"info mtree -f": MTREE}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        memory = PhysicalMemory(monitor)
        with pytest.raises(NotRam):
            memory.read(start, 8)
        assert "pmemsave" not in qemu.asked
        memory.close()


class DumpingQemu(FakeQemu):
    """Stops for as long as its dump goes on, as QEMU does."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.stopped = threading.Event()
        self.stops = 0
        self._dumps: list[threading.Thread] = []

    def _answer(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if request["execute"] == "getfd":
            return {"return": {}}
        if request["execute"] == "dump-guest-memory":
            self.stopped.set()
            self.stops += 1
            self.events.append(b'{"event": "STOP", "timestamp": {"seconds": 10}}\r\n')
            thread = threading.Thread(target=self._dump, args=(fds.pop(),))
            thread.start()
            return {"return": {}}
        if request["execute"] == "query-dump":
            return {"return": {"status": "active" if self.stopped.is_set() else "failed"}}
        return super()._answer(request, fds)

    def _dump(self, fd: int) -> None:
        try:
            while True:
                os.write(fd, bytes(1 << 16))
        except BrokenPipeError:
            pass
        os.close(fd)
        moment = b'"timestamp": {"seconds": 10, "microseconds": 250000}'
        self.events.append(b'{"event": "RESUME", ' + moment + b"}\r\n")
        self.stopped.clear()


@pytest.fixture
def dumping(guest: Recorded, tmp_path: Path) -> Any:
    qemu = DumpingQemu(tmp_path / "dumping", guest.qemu.memory, guest.qemu.human)
    with qemu:
        guest.qemu, other = qemu, guest.qemu
        yield guest
        guest.qemu = other


def test_a_guest_stands_still_while_a_process_is_read(dumping: Recorded) -> None:
    qemu = dumping.qemu
    assert isinstance(qemu, DumpingQemu)
    source = dumping.open(consistent=True)
    qemu.before_read = lambda start, size: seen.append(qemu.stopped.is_set())
    seen: list[bool] = []
    table = source.table(dumping.processes[0])
    assert len(table.rows) == table.map_count
    assert seen[-1]  # the walk, after the census
    assert not qemu.stopped.is_set()
    assert source.stops == Stops(1, 0.25, 0.25)
    list(source.summarise(dumping.processes))
    assert qemu.stops == 1 + len(dumping.processes)
    assert not qemu.stopped.is_set()
    source.close()


def test_a_walk_that_fails_lets_the_guest_go_on(dumping: Recorded) -> None:
    qemu = dumping.qemu
    assert isinstance(qemu, DumpingQemu)
    source = dumping.open(consistent=True)
    source.census()
    qemu.hang_up_at = "pmemsave"
    with pytest.raises(TargetUnavailable):
        source.table(dumping.processes[0])
    assert qemu.stops == 1
    deadline = threading.Event()
    for _ in range(1000):
        if not qemu.stopped.is_set():
            break
        deadline.wait(0.01)
    assert not qemu.stopped.is_set()
    source.close()


def test_a_qemu_that_does_not_dump_is_told(guest: Recorded) -> None:
    guest.qemu.answers |= {"getfd": {}, "dump-guest-memory": "a dump is in progress"}
    source = guest.open(consistent=True)
    with pytest.raises(TargetUnavailable, match="does not stop the guest: a dump is in progress"):
        source.table(guest.processes[0])
    source.close()
