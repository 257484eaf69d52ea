# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An arm64 kernel found by what it writes down for crash dumps, with every form of page tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.guest.fake_qemu import FakeQemu, Memory
from vmad.architecture.aarch64 import page_table_format
from vmad.architecture.page_table import PageTableFormat
from vmad.errors import TargetUnavailable
from vmad.sources.guest.arm64 import ImageInRam, images, translation
from vmad.sources.guest.paging import Image
from vmad.sources.guest.physical import PhysicalMemory
from vmad.sources.guest.qmp import Monitor
from vmad.sources.guest.vmcoreinfo import KernelTables, VmCoreInfo, kernels, parse

MIB = 1 << 20
RAM, RAM_END = 0x4000_0000, 0x4100_0000
MTREE = f"""\
FlatView #0
 AS "memory", root: system
  {RAM:016x}-{RAM_END - 1:016x} (prio 0, ram): mem0
"""
#: _stext where KASLR put it, in virtual memory and in RAM
TEXT, PHYSICAL = 0xFFFF_CB20_75A1_0000, 0x4021_0000
OFFSET = TEXT - PHYSICAL
ROOT = 0x4080_0000
NOTE = 0x40C0_6000


def page(shift: int = 12, bits: int = 48, used: int | None = None, **changed: str | None) -> bytes:
    """The lines of interest as Debian's 6.1 has them, between others; changed by a short name."""
    lines = {
        "release": "OSRELEASE=6.1.0-57-cloud-arm64",
        "build": "BUILD-ID=38403c625d8576740f2f4a1ef86619b88164437f",
        "size": f"PAGESIZE={1 << shift}",
        "uts": "SYMBOL(init_uts_ns)=ffffcb20773c0840",
        "tables": f"SYMBOL(swapper_pg_dir)={ROOT + OFFSET:x}",
        "text": f"SYMBOL(_stext)={TEXT:x}",
        "other": "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129",
        "built": f"NUMBER(VA_BITS)={bits}",
        "offset": f"NUMBER(kimage_voffset)=0x{OFFSET:x}",
        "spared": f"NUMBER(TCR_EL1_T1SZ)=0x{64 - (used or bits):x}",
        "kaslr": "KERNELOFFSET=4b206da00000",
        **changed,
    }
    text = "".join(f"{line}\n" for line in lines.values() if line is not None)
    return text.encode().ljust(4096, b"\0")


class Kernel:
    """A kernel's tables in memory, made as they are needed."""

    def __init__(self, form: PageTableFormat) -> None:
        self.memory = Memory()
        self._form = form
        self._free = ROOT + 0x10_0000

    def map(self, virtual: int, physical: int, level: int = 0) -> None:
        table = ROOT
        for above in range(self._form.levels - 1, level, -1):
            at = table + 8 * self._form.index(above, virtual)
            if not self.memory.word(at):
                self.memory.put_word(at, self._free | 3)
                self._free += 1 << self._form.page_shift
            table = self.memory.word(at) & ~0xFFF
        at = table + 8 * self._form.index(level, virtual)
        self.memory.put_word(at, physical | (1 if level else 3))

    def map_image(self) -> int:
        """Text, a hole where __init was, data; a module above, which is elsewhere. Its size."""
        size = 1 << self._form.page_shift
        last = 6 * MIB // size * size
        for place in (0, size, 2 * MIB, last):
            self.map(TEXT + place, PHYSICAL + place)
        self.map(TEXT + 9 * MIB, 0x40E0_0000)
        return last + size


@contextmanager
def guest(tmp_path: Path, memory: Memory, **human: str) -> Iterator[Monitor]:
    with (
        FakeQemu(tmp_path / "s", memory, {"info mtree -f": MTREE, **human}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        yield monitor


ANY = page_table_format(12, 48)
FORMS = [
    (12, 48, 48), (12, 52, 52), (12, 52, 48), (12, 39, 39), (14, 48, 48), (14, 52, 52),
    (14, 52, 47), (14, 47, 47), (16, 48, 48), (16, 52, 52), (16, 52, 48), (16, 42, 42),
]  # fmt: skip


@pytest.mark.parametrize(("shift", "bits", "used"), FORMS)
def test_a_kernel_is_found_by_its_note(tmp_path: Path, shift: int, bits: int, used: int) -> None:
    kernel = Kernel(page_table_format(shift, bits if shift == 16 else used))
    size = kernel.map_image()
    kernel.memory.put(NOTE, page(shift, bits, used))

    with guest(tmp_path, kernel.memory) as monitor:
        memory = PhysicalMemory(monitor)
        (found,) = images("s", memory)
        assert (found.physical, found.size, found.page_shift) == (PHYSICAL, size, shift)
        assert found.tables is not None
        translate = translation(monitor, memory, found, Image(TEXT, PHYSICAL, size))
        assert translate(TEXT + 2 * MIB + 8) == PHYSICAL + 2 * MIB + 8
        assert translate(TEXT + 9 * MIB) == 0x40E0_0000
        assert translate(TEXT + 8 * MIB) is None


def test_the_end_of_a_topmost_table_of_52_bits_is_used_on_a_processor_of_48() -> None:
    """TTBR1_BADDR_4852_OFFSET of arch/arm64/include/asm/pgtable-hwdef.h, 64 KiB pages only."""
    told = parse(page(16, 52, 48))
    assert told is not None
    assert told.form.address_bits == 52
    assert told.form.index(2, 0xFFFF_8000_0000_0000) == 1023 - 31


def test_what_the_note_says() -> None:
    told = parse(page())
    assert told is not None
    assert told == VmCoreInfo(12, TEXT, ROOT + OFFSET, OFFSET, told.form)
    assert told.form.levels == 4


@pytest.mark.parametrize(
    "raw",
    [
        b"", bytes(4096), page()[4:], page(tables=None), page(text=None), page(spared=None),
        page(offset=None), page(built="NUMBER(VA_BITS)=0x30"), page(built="NUMBER(VA_BITS)=64"),
        page(size="PAGESIZE=12288"), page(size="PAGESIZE=8192"), page(size="PAGESIZE=0"),
        page(spared="NUMBER(TCR_EL1_T1SZ)=0x40"), page(spared="NUMBER(TCR_EL1_T1SZ)=0x"),
        page(text="SYMBOL(_stext)=" + "f" * 17), page(release="OSRELEASE=a\0"),
    ],
)  # fmt: skip
def test_what_is_no_such_note_is_passed_over(raw: bytes) -> None:
    assert parse(raw) is None


def test_a_note_of_another_boot_or_of_a_guest_within_is_passed_over(tmp_path: Path) -> None:
    kernel = Kernel(ANY)
    kernel.map_image()
    before, beyond = OFFSET + 2 * MIB, OFFSET - (1 << 40)
    kernel.memory.put(NOTE - 4096, page(offset=f"NUMBER(kimage_voffset)=0x{before:x}"))
    kernel.memory.put(NOTE - 8192, page(offset=f"NUMBER(kimage_voffset)=0x{beyond:x}"))
    kernel.memory.put(NOTE, page())
    with guest(tmp_path, kernel.memory) as monitor:
        found = [tables.told.offset for tables in kernels(PhysicalMemory(monitor))]
    assert found == [OFFSET]


def test_a_big_endian_kernel_is_refused(tmp_path: Path) -> None:
    """Its image's header is gone: its page tables show it."""
    kernel = Kernel(ANY)
    kernel.map_image()
    for raw in kernel.memory.pages.values():
        raw[:] = b"".join(raw[at : at + 8][::-1] for at in range(0, 4096, 8))
    kernel.memory.put(NOTE, page())
    with (
        guest(tmp_path, kernel.memory) as monitor,
        pytest.raises(TargetUnavailable, match="kernel is big-endian; only little-endian"),
    ):
        list(images("s", PhysicalMemory(monitor)))


def test_tables_that_lead_out_of_ram_are_no_kernel(tmp_path: Path) -> None:
    kernel = Kernel(ANY)
    kernel.memory.put_word(ROOT + 8 * ANY.index(3, TEXT), RAM_END | 3)
    kernel.memory.put(NOTE, page())
    with guest(tmp_path, kernel.memory) as monitor:
        assert list(images("s", PhysicalMemory(monitor))) == []


def test_a_guest_full_of_notes_does_not_keep_vmad(tmp_path: Path) -> None:
    memory = Memory()
    for number in range(80):
        memory.put(NOTE + number * 4096, page(text=f"SYMBOL(_stext)={TEXT + number * MIB:x}"))
    with guest(tmp_path, memory) as monitor:
        assert list(kernels(PhysicalMemory(monitor))) == []


def test_the_image_may_be_mapped_by_blocks(tmp_path: Path) -> None:
    kernel = Kernel(ANY)
    block = 2 * MIB
    offset, before = OFFSET & -block, TEXT & block - 1
    for place in range(0, 4 * block, block):
        kernel.map(TEXT - before + place, TEXT - before + place - offset, level=1)
    note = page(
        offset=f"NUMBER(kimage_voffset)=0x{offset:x}",
        tables=f"SYMBOL(swapper_pg_dir)={ROOT + offset:x}",
    )
    with guest(tmp_path, kernel.memory) as monitor:
        told = parse(note)
        assert told is not None
        tables = KernelTables(PhysicalMemory(monitor), told)
        assert tables.image_size(256 * MIB) == 4 * block - before
        assert tables.image_size(3 * MIB) == 3 * MIB


def test_where_qemu_cannot_translate_the_notes_tables_do(tmp_path: Path) -> None:
    """kpti: the tables of a processor that runs a program have next to nothing of the kernel."""
    kernel = Kernel(ANY)
    size = kernel.map_image()
    kernel.memory.put(NOTE, page())
    with guest(tmp_path, kernel.memory, **{f"gva2gpa {TEXT:#x}": "Unmapped\r\n"}) as monitor:
        memory = PhysicalMemory(monitor)
        placed = ImageInRam(PHYSICAL, size, 12)
        here = translation(monitor, memory, placed, Image(TEXT, PHYSICAL, size))
        assert here(TEXT) == PHYSICAL
        elsewhere = translation(monitor, memory, placed, Image(TEXT + MIB, PHYSICAL, size))
        assert elsewhere(TEXT) is None
