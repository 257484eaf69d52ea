# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A walk of page tables as a processor makes it: pure, whoever reads the memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Entry(NamedTuple):
    """What an entry leads to: the physical address of a page or block (``leaf``), or of a table."""

    address: int
    leaf: bool


class Leaf(NamedTuple):
    """One page or block that is mapped: virtual and physical address, bytes."""

    address: int
    physical: int
    size: int


class _Table(NamedTuple):
    """Where a table is, its level, and the virtual address of its first entry."""

    at: int
    level: int
    first: int


@dataclass(frozen=True, slots=True)
class PageTableFormat:
    """One form of 8-byte entries. Levels are counted from 0, the one whose entries are pages.

    ``address_bits``: of virtual addresses that the tables tell apart; ``decode(entry, level)``
    is None for what is not present.
    """

    page_shift: int
    address_bits: int
    decode: Callable[[int, int], Entry | None]

    @property
    def bits(self) -> int:
        """Of an address that one whole table resolves: a table fills a page."""
        return self.page_shift - 3

    @property
    def levels(self) -> int:
        """Number of tables on the way to a page; the topmost may be shorter than a page."""
        return -(-(self.address_bits - self.page_shift) // self.bits)

    def shift(self, level: int) -> int:
        """log2 of the bytes that one entry of a level covers."""
        return self.page_shift + self.bits * level

    def index(self, level: int, address: int) -> int:
        """Of the entry for an address; upper bits beyond ``address_bits`` do not count."""
        inside = address & (1 << self.address_bits) - 1
        return inside >> self.shift(level) & (1 << self.bits) - 1

    def translate(self, read: Callable[[int], int], root: int, address: int) -> int | None:
        """The physical address behind a virtual one; None when it is not mapped.

        ``read`` gives the 8 bytes at a physical address as a number; ``root`` is where the
        topmost table is.
        """
        table = root
        for level in range(self.levels - 1, -1, -1):
            entry = self.decode(read(table + 8 * self.index(level, address)), level)
            if entry is None:
                return None
            if entry.leaf:
                inside = (1 << self.shift(level)) - 1
                return (entry.address & ~inside) | (address & inside)
            table = entry.address
        return None  # a table where only a page can be

    def leaves(
        self, read: Callable[[int, int], bytes], root: int, start: int, end: int
    ) -> Iterator[Leaf]:
        """Every page or block that touches the virtual addresses [start, end), in their order.

        ``read`` gives the bytes at a physical address: (address, bytes). The range has to lie in
        one half, with equal bits beyond ``address_bits``.
        """
        upper = start >> self.address_bits << self.address_bits
        top = _Table(root, self.levels - 1, upper)
        return self._leaves(read, top, start - upper, end - upper)

    def _leaves(
        self, read: Callable[[int, int], bytes], table: _Table, low: int, high: int
    ) -> Iterator[Leaf]:
        """Below one table; ``low`` and ``high`` count from its first entry."""
        level = table.level
        shift = self.shift(level)
        first, last = low >> shift, min(high - 1 >> shift, (1 << self.bits) - 1)
        if last < first:
            return
        words = struct.iter_unpack("<Q", read(table.at + 8 * first, 8 * (last - first + 1)))
        for index, (word,) in enumerate(words, first):
            entry = self.decode(word, level)
            if entry is None:
                continue
            place, size = index << shift, 1 << shift
            if entry.leaf:
                yield Leaf(table.first + place, entry.address & -size, size)
            elif level:
                inside = max(low - place, 0), min(high - place, size)
                below = _Table(entry.address, level - 1, table.first + place)
                yield from self._leaves(read, below, *inside)
