# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Page tables: the image is found wherever KASLR put it, at four levels and at five."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.guest.fake_qemu import FakeQemu, Memory
from vmad.sources.guest.paging import KERNEL_MAP, Image, PageTables, page_tables
from vmad.sources.guest.physical import PhysicalMemory
from vmad.sources.guest.qmp import Monitor

MTREE = """\
FlatView #0
 AS "memory", root: system
  0000000000000000-000000000fffffff (prio 0, ram): mem0
"""
MIB = 1 << 20
PRESENT, LARGE = 1, 0x80
STEP = 2 * MIB
START, PHYSICAL = KERNEL_MAP + 7 * STEP, 0x0900_0000


class Tables:
    """Tables in memory of ours, made as they are needed."""

    def __init__(self, memory: Memory, root: int, levels: int) -> None:
        self._memory, self.root, self._levels = memory, root, levels
        self._free = root + 0x10000

    def map(self, virtual: int, physical: int, level: int) -> None:
        """``level``: 0 a page, 1 two MiB."""
        table = self.root
        for above in range(self._levels - 1, level, -1):
            at = table + 8 * (virtual >> 12 + 9 * above & 511)
            if not self._memory.word(at):
                self._memory.put_word(at, self._free | PRESENT)
                self._free += 0x1000
            table = self._memory.word(at) & ~0xFFF
        at = table + 8 * (virtual >> 12 + 9 * level & 511)
        # bit 63: no execution
        self._memory.put_word(at, physical | PRESENT | (LARGE if level else 0) | 1 << 63)


def kernel(levels: int, root: int = 0x10_0000) -> tuple[Memory, Tables]:
    """An image of 8 MiB: text, rodata by pages with a hole before it, data, __init given back."""
    memory = Memory()
    tables = Tables(memory, root, levels)
    tables.map(START, PHYSICAL, 1)
    for page in range(3, 20):
        tables.map(START + STEP + page * 4096, PHYSICAL + STEP + page * 4096, 0)
    tables.map(START + 2 * STEP, PHYSICAL + 2 * STEP, 1)
    tables.map(START + 3 * STEP, PHYSICAL + 3 * STEP, 1)
    # a module, far behind the image
    tables.map(KERNEL_MAP + 400 * STEP, 0x0200_0000, 1)
    return memory, tables


@pytest.mark.parametrize("levels", [4, 5])
def test_the_image_is_found_where_it_is_mapped(tmp_path: Path, levels: int) -> None:
    memory, tables = kernel(levels)
    with (
        FakeQemu(tmp_path / "s", memory, {"info mtree -f": MTREE}) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        found = PageTables(PhysicalMemory(monitor), tables.root, levels == 5)
        assert found.image() == Image(START, PHYSICAL, 4 * STEP)
        assert found.translate(START + 0x1234) == PHYSICAL + 0x1234
        assert found.translate(START + STEP + 4 * 4096 + 5) == PHYSICAL + STEP + 4 * 4096 + 5
        assert found.translate(START + STEP) is None
        assert found.translate(START - STEP) is None


def registers(cr3: int, five_levels: bool = False) -> str:
    cr4 = "00751ef0" if five_levels else "00750ef0"
    return f"CPU#0\nCR0=80050033 CR2=0 CR3={cr3:016x} CR4={cr4}\nEFER=0000000000000d01\n"


@pytest.mark.parametrize("flags", [0, 0x1000, 0x18, 0x1883])
def test_page_table_isolation_and_process_numbers_are_seen_through(
    tmp_path: Path, flags: int
) -> None:
    """A program runs on the second page of a pair; the low bits are a PCID."""
    memory, tables = kernel(4)
    human = {"info mtree -f": MTREE, "info registers": registers(tables.root | flags)}
    with (
        FakeQemu(tmp_path / "s", memory, human) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        found = [image for _, image in page_tables(monitor, PhysicalMemory(monitor))]
    assert found[0] == Image(START, PHYSICAL, 4 * STEP)


def test_a_root_on_an_odd_page_is_found_too(tmp_path: Path) -> None:
    memory, tables = kernel(5, root=0x10_1000)
    human = {"info mtree -f": MTREE, "info registers": registers(tables.root, True)}
    with (
        FakeQemu(tmp_path / "s", memory, human) as qemu,
        closing(Monitor(str(qemu.path))) as monitor,
    ):
        found = [image for _, image in page_tables(monitor, PhysicalMemory(monitor))]
    assert found == [Image(START, PHYSICAL, 4 * STEP)]
