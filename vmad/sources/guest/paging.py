# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Page tables of an x86-64 guest: where the kernel's image lies, and any address's place in RAM.

Intel's manual, volume 3, chapter 4; Documentation/arch/x86/x86_64/mm.rst for what lies where.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vmad.architecture.x86_64 import FIVE_LEVELS, FOUR_LEVELS, decode
from vmad.errors import TargetUnavailable
from vmad.sources.guest.physical import PAGE, NotRam, PhysicalMemory
from vmad.sources.guest.qmp import Monitor, Refused

#: __START_KERNEL_map: the image is somewhere in the gigabyte above (KASLR)
KERNEL_MAP = 0xFFFF_FFFF_8000_0000
IMAGE_STEP = 2 << 20
#: bytes; a kernel with everything built in and KASAN has about 200 MB
LARGEST_IMAGE = 256 << 20

_ADDRESS = 0x000F_FFFF_FFFF_F000
_EFER_LMA, _CR4_LA57, _CR4_PAE = 1 << 10, 1 << 12, 1 << 5


@dataclass(frozen=True, slots=True)
class Registers:
    """What the first processor says of its paging."""

    cr3: int
    five_levels: bool


def registers(monitor: Monitor) -> Registers:
    """Read them. Raises TargetUnavailable for a machine that is not in 64-bit mode."""
    try:
        text = monitor.human("info registers")
    except Refused as error:
        raise monitor.refuses(error) from error
    values = {
        name: int(value, 16) for name, value in re.findall(r"\b(CR[34]|EFER) ?=([0-9a-f]+)", text)
    }
    if not values.get("EFER", 0) & _EFER_LMA:
        raise TargetUnavailable(
            f"qemu:{monitor.path}: the guest is not in 64-bit mode: its firmware runs, or its "
            "loader, or a 32-bit kernel",
            "try again when it has booted; only 64-bit Linux can be read",
        )
    return Registers(values.get("CR3", 0), bool(values.get("CR4", 0) & _CR4_LA57))


class PageTables:
    """The tables below one root. ``root`` is CR3 without its flags."""

    def __init__(self, memory: PhysicalMemory, root: int, five_levels: bool) -> None:
        self._memory = memory
        self.root = root
        self._form = FIVE_LEVELS if five_levels else FOUR_LEVELS

    def _word(self, address: int) -> int:
        return int.from_bytes(self._memory.read(address, 8), "little")

    def translate(self, address: int) -> int | None:
        """The physical address behind a virtual one; None when it is not mapped. Raises NotRam."""
        return self._form.translate(self._word, self.root, address)

    def image(self) -> Image | None:
        """The kernel's image; None when nothing is mapped where Linux maps it.

        cleanup_highmap() (arch/x86/mm/init_64.c) leaves nothing before and behind it.
        """
        start = physical = None
        end = 0
        for address, place in self._middle_entries():
            if start is None or physical is None:
                start, physical, end = address, place, address
            elif place != physical + address - start or address != end:
                break
            end = address + IMAGE_STEP
        if start is None or physical is None or end - start > LARGEST_IMAGE:
            return None
        return Image(start, physical, end - start)

    def _middle_entries(self) -> Iterator[tuple[int, int]]:
        """(virtual, physical) of each 2 MiB that has any mapping in the kernel's gigabyte."""
        table = self.root
        for level in range(self._form.levels - 1, 1, -1):
            at = table + 8 * self._form.index(level, KERNEL_MAP)
            entry = decode(self._word(at), level)
            if entry is None or entry.leaf:
                return
            table = entry.address
        entries = struct.unpack("<512Q", self._memory.read(table, PAGE))
        for index, word in enumerate(entries):
            address = KERNEL_MAP + index * IMAGE_STEP
            entry = decode(word, 1)
            if entry is None:
                continue
            if entry.leaf:
                yield address, entry.address & -IMAGE_STEP
                continue
            # pages of different rights: rodata's edges, __init that was given back
            pages = struct.unpack("<512Q", self._memory.read(entry.address, PAGE))
            for number, page in enumerate(pages):
                small = decode(page, 0)
                if small is not None:
                    yield address, small.address - number * PAGE
                    break


@dataclass(frozen=True, slots=True)
class Image:
    """A kernel's image in memory: virtual and physical address of its start, bytes."""

    start: int
    physical: int
    size: int

    def holds(self, address: int) -> bool:
        """Whether a virtual address is in it."""
        return self.start <= address < self.start + self.size


def page_tables(monitor: Monitor, memory: PhysicalMemory) -> Iterator[tuple[PageTables, Image]]:
    """Every reading of CR3 that gives a kernel image, the likelier first.

    With page-table isolation a program runs on the second page of the pair at CR3 (arch/x86/mm/
    pti.c), which maps little of the kernel. Raises TargetUnavailable.
    """
    cpu = registers(monitor)
    for mask in (~0x1FFF, ~0xFFF):
        tables = PageTables(memory, cpu.cr3 & _ADDRESS & mask, cpu.five_levels)
        try:
            image = tables.image()
            if image is not None and memory.is_ram(image.physical, image.size):
                yield tables, image
        except NotRam:
            continue
