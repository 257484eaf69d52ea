# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a 64-bit Arm kernel writes down of itself for crash dumps, found in a guest's memory.

vmcoreinfo (kernel/vmcore_info.c, before 6.9 kernel/crash_core.c; arch/arm64/kernel/
vmcore_info.c; the names are in Documentation/admin-guide/kdump/vmcoreinfo.rst) is lines of text in
a page of its own, made at every boot of a kernel that has CONFIG_PROC_KCORE or kexec. It tells
where the image and the kernel's page tables are, whatever KASLR did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vmad.architecture.aarch64 import AARCH64, page_table_format
from vmad.architecture.page_table import PageTableFormat
from vmad.sources.guest.physical import PAGE, NotRam, PhysicalMemory

_FIRST = b"OSRELEASE="
_FIRST_WORD = int.from_bytes(_FIRST[:8], "little")
_LINE = re.compile(rb"^([A-Z]+(?:\([A-Za-z0-9_]+\))?)=(?:0x)?([0-9a-f]{1,16})$", re.MULTILINE)
#: numbers that are written without 0x are decimal but for symbols and KERNELOFFSET
_DECIMAL = (b"PAGESIZE", b"NUMBER(VA_BITS)")
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
#: bytes that are read at once
_PIECE = 8 << 20
#: pages that begin as one: a guest may hold any number
_MOST = 64


@dataclass(frozen=True, slots=True)
class VmCoreInfo:
    """What one page says. ``text`` (_stext) and ``tables`` (swapper_pg_dir) are virtual addresses;
    ``offset``: a virtual address of the image less its physical one.
    """

    page_shift: int
    text: int
    tables: int
    offset: int
    form: PageTableFormat


def parse(page: bytes) -> VmCoreInfo | None:
    """One page; None for what lacks a line, as other architectures' does, or contradicts itself."""
    if not page.startswith(_FIRST):
        return None
    lines = {match[1]: match for match in _LINE.finditer(page.partition(b"\0")[0])}

    def number(name: bytes) -> int:
        return int(lines[name][2], 10 if name in _DECIMAL else 16)

    try:
        size = number(b"PAGESIZE")
        built, spared = number(b"NUMBER(VA_BITS)"), number(b"NUMBER(TCR_EL1_T1SZ)")
        text, tables = number(b"SYMBOL(_stext)"), number(b"SYMBOL(swapper_pg_dir)")
        offset = number(b"NUMBER(kimage_voffset)")
    except (KeyError, ValueError):
        return None
    shift = size.bit_length() - 1
    if size not in {1 << known for known in AARCH64.page_shifts}:
        return None
    if not 36 <= built <= 52 or not 36 <= 64 - spared <= 52:
        return None
    return VmCoreInfo(shift, text, tables, offset, _form(shift, built, 64 - spared))


def _form(shift: int, built: int, used: int) -> PageTableFormat:
    """That of the kernel's tables, by the bits of addresses that it was built for and has in use.

    Where a processor has less than it was built for, the topmost table keeps its full length and
    its end is used (64 KiB pages), or a table less is walked.
    """
    full, short = page_table_format(shift, built), page_table_format(shift, used)
    return full if shift == 16 and full.levels == short.levels else short


class KernelTables:
    """The kernel's page tables, and the image that they map. ``order``: of the bytes of an entry,
    which is the kernel's own.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        told: VmCoreInfo,
        order: Literal["little", "big"] = "little",
    ) -> None:
        self._memory = memory
        self.told = told
        self.order: Literal["little", "big"] = order
        self._root = told.tables - told.offset

    def _word(self, address: int) -> int:
        return int.from_bytes(self._memory.read(address, 8), self.order)

    def translate(self, address: int) -> int | None:
        """The physical address behind a kernel's; None when it is not mapped. Raises NotRam."""
        return self.told.form.translate(self._word, self._root, address)

    def image_size(self, most: int) -> int:
        """Bytes of the image from ``text`` on, up to ``most``; of a little-endian kernel. Raises
        NotRam.

        It has holes (what it gave back after the boot); what follows it lies elsewhere in RAM.
        """
        text, offset = self.told.text, self.told.offset
        end = text
        for leaf in self.told.form.leaves(self._memory.read, self._root, text, text + most):
            if leaf.address - leaf.physical == offset:
                end = leaf.address + leaf.size
        return min(end - text, most)


def kernels(memory: PhysicalMemory) -> Iterator[KernelTables]:
    """Every kernel whose page in RAM tells the truth: its tables map its image where it says.

    Left out so are pages of a kernel that ran before, and of guests within the guest.
    """
    for page in _pages(memory):
        told = parse(page)
        if told is None:
            continue
        for order in _ORDERS:
            tables = KernelTables(memory, told, order)
            with suppress(NotRam):
                if tables.translate(told.text) == told.text - told.offset:
                    yield tables


def _pages(memory: PhysicalMemory) -> Iterator[bytes]:
    """Pages in RAM that begin as vmcoreinfo does."""
    found = 0
    for block in memory.ram:
        first = -(-block.start // PAGE) * PAGE
        for start in range(first, block.end - PAGE + 1, _PIECE):
            size = min(_PIECE, block.end - start) // PAGE * PAGE
            raw = memory.read(start, size)
            words = np.frombuffer(raw, "<u8")[:: PAGE // 8]
            for number in np.flatnonzero(words == _FIRST_WORD).tolist():
                found += 1
                if found > _MOST:
                    return
                yield raw[number * PAGE : (number + 1) * PAGE]
