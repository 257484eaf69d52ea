# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel of a 64-bit Arm guest, found in its memory: the processor's registers do not show it.

QEMU tells no TTBR1, but the image of an arm64 kernel begins with a header of its own, wherever the
loader puts it (Documentation/arch/arm64/booting.rst), and its own pointers say where it has its
image and all RAM in virtual memory. Many a kernel gives the header's memory away after the boot
(arm64_memblock_init() reserves from _stext on), and then anything may be written over it: that one
is found by what it writes down for crash dumps (vmcoreinfo.py), in all of RAM.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from vmad.errors import TargetUnavailable
from vmad.sources.guest.btf import Bytes
from vmad.sources.guest.kernel import init_tasks
from vmad.sources.guest.layout import Layout
from vmad.sources.guest.paging import LARGEST_IMAGE, Image
from vmad.sources.guest.physical import NotRam, PhysicalMemory, Range
from vmad.sources.guest.qmp import Monitor, Refused
from vmad.sources.guest.vmcoreinfo import KernelTables, kernels

#: an image lies at a multiple of 2 MiB, or, loaded by EFI, of 64 KiB
_USUAL, _STEP = 2 << 20, 64 << 10
_HEADER = struct.Struct("<II3Q3Q4sI")
_MAGIC = b"ARM\x64"
_SMALLEST_IMAGE = 1 << 20
_BIG_ENDIAN = 1
#: bits 1 and 2 of the header's flags
_PAGE_SHIFTS = {1: 12, 2: 14, 3: 16}
#: candidates that are read at once
_BATCH = 512
_PHYSICAL = re.compile(r"gpa: (0x[0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class ImageInRam:
    """An image in RAM: physical address, bytes; log2 of the page size it was built for.

    ``tables``: the kernel's page tables where it was found by them.
    """

    physical: int
    size: int
    page_shift: int
    tables: KernelTables | None = None


def images(path: str, memory: PhysicalMemory) -> Iterator[ImageInRam]:
    """Every image in RAM that looks whole, the likelier first.

    By QMP alone a look at every place takes a second per 30 MiB of RAM, at the usual ones 32 times
    less, and reading all RAM is between these. Raises TargetUnavailable for a big-endian kernel.
    """
    places = _places(memory, _USUAL)
    yield from _with_header(path, memory, places)
    yield from _noted(path, memory)
    unusual = (place for place in _places(memory, _STEP) if place % _USUAL)
    yield from _with_header(path, memory, unusual)


def _places(memory: PhysicalMemory, step: int) -> Iterator[int]:
    """Where a header may lie, of whatever RAM is claimed: one after the other."""
    for block in memory.ram:
        yield from range(-(-block.start // step) * step, block.end - _HEADER.size, step)


def _with_header(path: str, memory: PhysicalMemory, places: Iterator[int]) -> Iterator[ImageInRam]:
    """Images whose header is at one of some places."""
    while batch := list(islice(places, _BATCH)):
        raw = memory.read_all([Range(place, place + _HEADER.size) for place in batch])
        for number, place in enumerate(batch):
            _, _, _, size, flags, _, _, _, magic, _ = _HEADER.unpack_from(
                raw, number * _HEADER.size
            )
            shift = _PAGE_SHIFTS.get(flags >> 1 & 3)
            if magic != _MAGIC or not _SMALLEST_IMAGE <= size <= LARGEST_IMAGE:
                continue
            if flags & _BIG_ENDIAN:
                raise _big_endian(path)
            if shift is not None and memory.is_ram(place, size):
                yield ImageInRam(place, size, shift)


def _big_endian(path: str) -> TargetUnavailable:
    return TargetUnavailable(
        f"qemu:{path}: the guest's kernel is big-endian", "only little-endian guests can be read"
    )


def _noted(path: str, memory: PhysicalMemory) -> Iterator[ImageInRam]:
    """Images that the kernel itself wrote down, without their first bytes: from _stext on."""
    for tables in kernels(memory):
        if tables.order == "big":
            raise _big_endian(path)
        told = tables.told
        physical = told.text - told.offset
        with suppress(NotRam):
            size = tables.image_size(LARGEST_IMAGE)
            if size >= _SMALLEST_IMAGE and memory.is_ram(physical, size):
                yield ImageInRam(physical, size, told.page_shift, tables)


def virtual_start(raw: Bytes, layout: Layout, init_task: int | None = None) -> int | None:
    """Where the image is in the kernel's virtual memory: as its first task points to itself.

    ``init_task``: its offset in the image where that is known. None where there is no such task.
    """
    for place, start in init_tasks(raw, layout):
        if init_task in (None, place) and start >> 48 == 0xFFFF and start % 4096 == 0:
            return start
    return None


def physical_of(monitor: Monitor, address: int) -> int | None:
    """Where a kernel address lies in RAM, as QEMU translates it for a processor of the guest.

    A kernel's addresses are translated while a program runs, too, unless the kernel hides itself
    from programs (kpti, on processors without FEAT_CSV3): None then, and for what is not mapped.
    """
    try:
        match = _PHYSICAL.search(monitor.human(f"gva2gpa {address:#x}"))
    except Refused:
        return None
    return None if match is None else int(match[1], 16)


def translation(
    monitor: Monitor, memory: PhysicalMemory, placed: ImageInRam, image: Image
) -> Callable[[int], int | None]:
    """What gives the physical address behind one of this kernel's; None where it is not mapped.

    The kernel's tables where they are known, else QEMU; where it cannot, its tables are looked for.
    """

    def translate(address: int) -> int | None:
        if placed.tables is not None:
            return placed.tables.translate(address)
        place = physical_of(monitor, address)
        if place is not None:
            return place
        offset = image.start - image.physical
        same = (tables for tables in kernels(memory) if tables.told.offset == offset)
        tables = next(same, None)
        return None if tables is None else tables.translate(address)

    return translate
