# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel structures read in bulk: fields of thousands of objects in a few reads.

A look holds the pages that it has read, so that fields of one object come from one moment and
nothing is read twice. For a newer state, take a new look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.sources.guest.btf import Field
from vmad.sources.guest.paging import Image
from vmad.sources.guest.physical import PAGE, NotRam, PhysicalMemory, Range

U64 = npt.NDArray[np.uint64]

#: bytes of one range, and of all that one reading takes: what lies between is read along
PIECE, BATCH = 8 << 20, 32 << 20
_SHIFT = np.uint64(12)


class Torn(Exception):
    """What was read cannot be: it changed under the reader. Try again; the text says what."""


@dataclass(frozen=True)
class AddressSpace:
    """Where the kernel's own addresses lie in RAM (Documentation/arch/x86/x86_64/mm.rst).

    All RAM is mapped in one piece from ``direct_map`` on; the image from ``image.start`` on.
    """

    memory: PhysicalMemory
    image: Image
    direct_map: int

    def physical(self, addresses: U64) -> U64:
        """Physical addresses. Raises Torn for what is neither in RAM nor in the image."""
        direct = addresses - np.uint64(self.direct_map)
        inside = addresses - np.uint64(self.image.start)
        in_image = inside < np.uint64(self.image.size)
        places: U64 = np.where(in_image, inside + np.uint64(self.image.physical), direct)
        starts = np.array([block.start for block in self.memory.ram], np.uint64)
        ends = np.array([block.end for block in self.memory.ram], np.uint64)
        block = np.searchsorted(starts, places, side="right") - 1
        good = (block >= 0) & (places < ends[np.maximum(block, 0)])
        if not good.all():
            raise Torn(f"{int(addresses[~good][0]):#x} is not an address of the kernel's memory")
        return places

    def look(self) -> Look:
        """A fresh look."""
        return Look(self)


def _batches(ranges: list[Range]) -> Iterator[list[Range]]:
    """Ranges in their order, up to BATCH bytes at a time."""
    batch: list[Range] = []
    size = 0
    for block in ranges:
        if batch and size + block.size > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(block)
        size += block.size
    yield batch


class Look:
    """Reads through pages that are kept. Raises Torn, TargetUnavailable."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._pages: npt.NDArray[np.uint64] = np.empty(0, np.uint64)  # ascending
        self._rows: npt.NDArray[np.intp] = np.empty(0, np.intp)  # of each page, in the store
        self._store: U64 = np.empty(0, np.uint64)
        self._used = 0  # pages in the store
        self._virtual: dict[int, int] = {}  # virtual page -> row in the store

    def _load(self, pages: U64) -> None:
        """Read what of ``pages`` (ascending, each once) is not there yet."""
        missing = pages[~np.isin(pages, self._pages, assume_unique=True)]
        if not len(missing):
            return
        memory = self._space.memory
        piece = missing // np.uint64(PIECE // PAGE)
        far = np.diff(missing) > np.uint64(1 + memory.gap // PAGE)
        apart = np.flatnonzero(far | (np.diff(piece) != 0)) + 1
        firsts = missing[np.concatenate(([0], apart))].tolist()
        lasts = missing[np.concatenate((apart - 1, [len(missing) - 1]))].tolist()
        ranges = [
            Range(first * PAGE, (last + 1) * PAGE)
            for first, last in zip(firsts, lasts, strict=True)
        ]
        for batch in _batches(ranges):
            self._read(batch, missing)

    def _read(self, ranges: list[Range], numbers: U64) -> None:
        """Read ranges and keep those pages whose ``numbers`` are given (ascending)."""
        memory = self._space.memory
        low, high = ranges[0].start // PAGE, ranges[-1].end // PAGE
        here = numbers[slice(*np.searchsorted(numbers, np.array([low, high], np.uint64)))]
        try:
            raw = memory.read_all(ranges)
        except NotRam as error:
            if not memory.gap:
                raise Torn(str(error)) from error
            # a hole between two pages of RAM: without reading along
            ranges = [Range(page * PAGE, (page + 1) * PAGE) for page in here.tolist()]
            raw = memory.read_all(ranges)
        read = np.concatenate(
            [np.arange(r.start // PAGE, r.end // PAGE, dtype=np.uint64) for r in ranges]
        )
        words = np.frombuffer(raw, np.uint64)
        if len(read) != len(here):
            words = words.reshape(-1, 512)[np.searchsorted(read, here)].reshape(-1)
        self._keep(here, words)

    def _keep(self, read: U64, words: U64) -> None:
        needed = self._used + len(read)
        if needed * 512 > len(self._store):
            grown = np.empty(max(2 * self._used, needed) * 512, np.uint64)
            grown[: self._used * 512] = self._store[: self._used * 512]
            self._store = grown
        self._store[self._used * 512 : needed * 512] = words
        rows = np.arange(self._used, needed)
        self._used = needed
        pages = np.concatenate((self._pages, read))
        order = np.argsort(pages, kind="stable")
        self._pages, self._rows = pages[order], np.concatenate((self._rows, rows))[order]

    def words(self, addresses: U64, offsets: Sequence[int]) -> list[U64]:
        """The 8 bytes at each offset from each address, one array per offset.

        Offsets must be multiples of 8, as the addresses of kernel objects are.
        """
        if not len(addresses):
            return [np.empty(0, np.uint64) for _ in offsets]
        if (addresses & np.uint64(7)).any():
            raise Torn("a pointer is not aligned")
        low, high = min(offsets), max(offsets)
        if high - low > PAGE - 8:  # apart: each for itself
            return [self.words(addresses, [offset])[0] for offset in offsets]
        first_byte = self._space.physical(addresses + np.uint64(low))
        last_byte = first_byte + np.uint64(high - low)
        first, last = first_byte >> _SHIFT, last_byte >> _SHIFT
        self._load(np.unique(np.concatenate((first, last))))
        row_first = self._rows[np.searchsorted(self._pages, first)]
        row_last = self._rows[np.searchsorted(self._pages, last)]
        words = []
        for offset in offsets:
            at = first_byte + np.uint64(offset - low)
            row = np.where(at >> _SHIFT == first, row_first, row_last)
            word = row * 512 + ((at & np.uint64(PAGE - 1)) >> np.uint64(3)).astype(np.intp)
            words.append(self._store[word])
        return words

    def fields(self, addresses: U64, fields: Sequence[Field]) -> list[U64]:
        """Integer fields of up to 8 bytes, zero-extended, one array per field."""
        words = self.words(addresses, [field.offset & ~7 for field in fields])
        return [
            word >> np.uint64(field.offset % 8 * 8) & np.uint64((1 << min(field.size, 8) * 8) - 1)
            for word, field in zip(words, fields, strict=True)
        ]

    def one(self, address: int, field: Field) -> int:
        """One integer field of one object."""
        at = address + field.offset
        if not 0 <= at < 1 << 64 or at % min(field.size, 8):
            raise Torn("a pointer is not aligned")
        word = self._word(at & ~7)
        return word >> at % 8 * 8 & (1 << min(field.size, 8) * 8) - 1

    def _word(self, address: int) -> int:
        """The 8 bytes at one aligned address, from pages that were read where they were."""
        page, row = address >> 12, self._virtual.get(address >> 12)
        if row is None:
            at = np.array([page << 12], np.uint64)
            physical = self._space.physical(at) >> _SHIFT
            self._load(physical)
            row = self._virtual[page] = int(self._rows[np.searchsorted(self._pages, physical)][0])
        return int(self._store[row * 512 + (address & PAGE - 1) // 8])

    def text(self, address: int, most: int) -> bytes:
        """The bytes at an address, any alignment, up to a NUL or ``most``."""
        text = b""
        while len(text) < most:
            part, end, _ = self.bytes(address + len(text), min(32, most - len(text))).partition(
                b"\0"
            )
            text += part
            if end:
                break
        return text

    def bytes(self, address: int, size: int) -> bytes:
        """``size`` bytes at an address, any alignment."""
        if not 0 <= address < 1 << 64:
            raise Torn("an address beyond all")
        start, end = address & ~7, (address + size + 7) & ~7
        words = b"".join(self._word(at).to_bytes(8, "little") for at in range(start, end, 8))
        return words[address - start :][:size]
