# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel of an arm64 guest is found by its image's header, wherever it was loaded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.guest.fake_qemu import FakeQemu, Memory
from vmad.errors import TargetUnavailable
from vmad.sources.guest.arm64 import ImageInRam, images, physical_of, virtual_start
from vmad.sources.guest.btf import Field
from vmad.sources.guest.layout import Layout
from vmad.sources.guest.physical import PhysicalMemory
from vmad.sources.guest.qmp import Monitor

MTREE = """\
FlatView #0
 AS "memory", root: system
  0000000000000000-0000000003ffffff (prio 0, romd): virt.flash0
  0000000040000000-0000000047ffffff (prio 0, ram): mem0
FlatView #1
 AS "cpu-tag-memory", root: tag-memory
  0000000040000000-00000000403fffff (prio 0, ram): mach-virt.tag
"""
MIB = 1 << 20


def header(size: int = 32 * MIB, flags: int = 0b1010, magic: bytes = b"ARM\x64") -> bytes:
    """Documentation/arch/arm64/booting.rst; a page size of 4 KiB unless ``flags`` say another."""
    return struct.pack("<II3Q3Q4sI", 0x91005A4D, 0x14000000, 0, size, flags, 0, 0, 0, magic, 64)


@contextmanager
def guest(tmp_path: Path, *found: tuple[int, bytes], **human: str) -> Iterator[Monitor]:
    memory = Memory()
    for place, raw in found:
        memory.put(place, raw)
    with (
        FakeQemu(tmp_path / "s", memory, {"info mtree -f": MTREE, **human}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        yield monitor


@pytest.mark.parametrize(("code", "shift"), [(1, 12), (2, 14), (3, 16)])
def test_an_image_is_found_at_64_kib_and_tells_its_page_size(
    tmp_path: Path, code: int, shift: int
) -> None:
    place = 0x4021_0000
    with guest(tmp_path, (place, header(flags=code << 1 | 8))) as monitor:
        assert list(images("s", PhysicalMemory(monitor))) == [ImageInRam(place, 32 * MIB, shift)]


def test_usual_places_are_looked_at_first(tmp_path: Path) -> None:
    unusual, usual = (0x4001_0000, header()), (0x4420_0000, header())
    with guest(tmp_path, unusual, usual) as monitor:
        found = [each.physical for each in images("s", PhysicalMemory(monitor))]
    assert found == [0x4420_0000, 0x4001_0000]


@pytest.mark.parametrize(
    "raw",
    [header(magic=b"ARM\x65"), header(size=0), header(size=1 << 40), header(size=127 * MIB),
     header(flags=0)],
    ids=["another magic", "no size", "too large", "beyond RAM", "no page size"],
)  # fmt: skip
def test_what_is_no_whole_image_is_passed_over(tmp_path: Path, raw: bytes) -> None:
    last = (0x4400_0000, header())
    with guest(tmp_path, (0x4200_0000, raw), last) as monitor:
        assert [found.physical for found in images("s", PhysicalMemory(monitor))] == [0x4400_0000]


def test_a_big_endian_kernel_is_refused(tmp_path: Path) -> None:
    with (
        guest(tmp_path, (0x4020_0000, header(flags=0b1011))) as monitor,
        pytest.raises(TargetUnavailable, match="kernel is big-endian; only little-endian"),
    ):
        list(images("s", PhysicalMemory(monitor)))


LAYOUT = Layout(
    {
        "task_struct.comm": Field(64, 16),
        "task_struct.pid": Field(8, 4),
        "task_struct.group_leader": Field(16, 8),
    },
    {},
)


def task(at: int, leader: int, pid: int = 0) -> bytes:
    """An image with one task at an offset."""
    raw = bytearray(at + 128)
    struct.pack_into("<I", raw, at + 8, pid)
    struct.pack_into("<Q", raw, at + 16, leader)
    raw[at + 64 : at + 74] = b"swapper/0\0"
    return bytes(raw)


START = 0xFFFF_8000_8000_0000


def test_the_first_task_tells_where_the_image_is_mapped() -> None:
    assert virtual_start(task(0x5000, START + 0x5000), LAYOUT) == START
    assert virtual_start(task(0x5000, START + 0x5000), LAYOUT, 0x5000) == START
    assert virtual_start(task(0x5000, START + 0x5000), LAYOUT, 0x6000) is None
    assert virtual_start(task(0x5000, START + 0x5001), LAYOUT) is None
    assert virtual_start(task(0x5000, 0x7000 + 0x5000), LAYOUT) is None
    assert virtual_start(task(0x5000, START + 0x5000, pid=7), LAYOUT) is None


@pytest.mark.parametrize("start", [0xFFFF_FFC0_0800_0000, 0xFFFF_FE00_0800_0000], ids=["39", "42"])
def test_so_it_is_where_addresses_have_fewer_bits(start: int) -> None:
    """KIMAGE_VADDR of arch/arm64/include/asm/memory.h follows VA_BITS."""
    assert virtual_start(task(0x5000, start + 0x5000), LAYOUT) == start


def test_addresses_are_translated_by_qemu(tmp_path: Path) -> None:
    answers = {
        f"gva2gpa {START:#x}": "gpa: 0x40200000\r\n",
        f"gva2gpa {START + MIB:#x}": "Unmapped\r\n",
    }
    with guest(tmp_path, **answers) as monitor:
        assert physical_of(monitor, START) == 0x4020_0000
        assert physical_of(monitor, START + MIB) is None
