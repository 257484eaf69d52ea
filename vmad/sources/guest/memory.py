# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel structures read in bulk: fields of thousands of objects in a few reads.

A look holds the pages that it has read, so that fields of one object come from one moment and
nothing is read twice, until they are too many. For a newer state, take a new look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vmad.errors import TargetUnavailable
from vmad.sources.guest.btf import Field
from vmad.sources.guest.paging import Image
from vmad.sources.guest.physical import PAGE, NotRam, PhysicalMemory, Range

U64 = npt.NDArray[np.uint64]
Pages = npt.NDArray[np.intp]

#: bytes of one range, and of all that one reading takes: what lies between is read along
PIECE, BATCH = 8 << 20, 32 << 20
#: pages that a look holds, 32 MiB: a guest can lay each object into a page of its own
MOST_PAGES = 1 << 13
#: texts of one look: a guest can give each VMA a path of its own of hundreds of steps
MOST_TEXTS = 1 << 19
#: bits of an offset within a page; words of a page
_SHIFT, _WORDS = 12, PAGE // 8


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
        starts, ends = self._blocks
        block = np.searchsorted(starts, places, side="right") - 1
        good = (block >= 0) & (places < ends[np.maximum(block, 0)])
        if not good.all():
            raise Torn(f"{int(addresses[~good][0]):#x} is not an address of the kernel's memory")
        return places

    @cached_property
    def _blocks(self) -> tuple[U64, U64]:
        """First byte of each block of RAM, and the one behind its last."""
        blocks = self.memory.ram
        return (
            np.array([block.start for block in blocks], np.uint64),
            np.array([block.end for block in blocks], np.uint64),
        )

    @cached_property
    def pages(self) -> int:
        """Pages from address 0 to the end of RAM."""
        return max((block.end for block in self.memory.ram), default=0) // PAGE + 1

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
        self._store: U64 = np.empty(0, np.uint64)
        self._texts = 0
        self._forget()

    def _forget(self) -> None:
        """Begin with no pages."""
        space = self._space
        try:
            # by page of RAM, its row in the store and one: of this table, 4 bytes for each page of
            # the guest, the kernel gives only those parts that are used
            self._rows = np.zeros(space.pages, np.int32)
        except (MemoryError, ValueError) as error:
            raise TargetUnavailable(
                f"the guest claims {space.pages * PAGE:,} bytes of memory",
                "is what listens on the socket QEMU?",
            ) from error
        self._used = 0  # pages in the store
        self._virtual: dict[int, int] = {}  # virtual page -> row in the store

    def _load(self, *pages: Pages) -> bool:
        """Read what of these pages is not there yet; False where they are too many at a time."""
        missing = self._missing(pages)
        if self._used + len(missing) > MOST_PAGES:
            self._forget()
            missing = self._missing(pages)
            if len(missing) > MOST_PAGES:
                return False
        if len(missing):
            self._fetch(missing)
        return True

    def _missing(self, pages: Sequence[Pages]) -> Pages:
        """Ascending, each once."""
        missing = [some[self._rows[some] == 0] for some in pages]
        return np.unique(np.concatenate(missing)) if any(map(len, missing)) else missing[0]

    def _fetch(self, missing: Pages) -> None:
        """Read pages that are not there yet (ascending, each once)."""
        memory = self._space.memory
        far = np.diff(missing) > 1 + memory.gap // PAGE
        pieces = missing // (PIECE // PAGE)
        apart = np.flatnonzero(far | (np.diff(pieces) != 0)) + 1
        firsts = missing[np.concatenate(([0], apart))].tolist()
        lasts = missing[np.concatenate((apart - 1, [len(missing) - 1]))].tolist()
        ranges = [
            Range(first * PAGE, (last + 1) * PAGE)
            for first, last in zip(firsts, lasts, strict=True)
        ]
        for batch in _batches(ranges):
            low, high = batch[0].start // PAGE, batch[-1].end // PAGE
            self._read(batch, missing[slice(*np.searchsorted(missing, (low, high)))])

    def _read(self, ranges: list[Range], wanted: Pages) -> None:
        """Read ranges and keep those pages of them that are ``wanted`` (ascending)."""
        memory = self._space.memory
        if sum(extent.size for extent in ranges) == len(wanted) * PAGE:
            try:
                memory.read_into(ranges, self._room(len(wanted)))
            except NotRam as error:
                raise Torn(str(error)) from error
        else:
            try:
                raw = memory.read_all(ranges)
            except NotRam:
                # a hole between two pages of RAM: without reading along
                self._read(
                    [Range(page * PAGE, (page + 1) * PAGE) for page in wanted.tolist()], wanted
                )
                return
            there = np.concatenate(
                [np.arange(r.start // PAGE, r.end // PAGE, dtype=np.intp) for r in ranges]
            )
            words = np.frombuffer(raw, np.uint64).reshape(-1, _WORDS)
            room = np.frombuffer(self._room(len(wanted)), np.uint64).reshape(-1, _WORDS)
            room[:] = words[np.searchsorted(there, wanted)]
        self._rows[wanted] = np.arange(self._used + 1, self._used + len(wanted) + 1)
        self._used += len(wanted)

    def _room(self, pages: int) -> memoryview:
        """The bytes of the store's next pages."""
        needed = self._used + pages
        if needed * _WORDS > len(self._store):
            grown = np.empty(max(min(2 * self._used, MOST_PAGES), needed) * _WORDS, np.uint64)
            grown[: self._used * _WORDS] = self._store[: self._used * _WORDS]
            self._store = grown
        room: npt.NDArray[np.uint8] = self._store[self._used * _WORDS : needed * _WORDS].view(
            np.uint8
        )
        return room.data

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
        begin = self._space.physical(addresses + np.uint64(low)).astype(np.intp)
        first, last = begin >> _SHIFT, begin + (high - low) >> _SHIFT
        across = np.flatnonzero(first != last)
        first_across, last_across = first[across], last[across]
        if (last_across >= self._space.pages).any():
            raise Torn("an object beyond all memory")
        if not self._load(first, last_across):
            halves = np.array_split(addresses, 2)
            both = [self.words(half, offsets) for half in halves]
            return [np.concatenate(parts) for parts in zip(*both, strict=True)]
        word = (begin & PAGE - 1) >> 3
        at = (self._rows[first] - 1).astype(np.intp) * _WORDS + word
        # of those that go on in another page, words until then, and how far away that page lies
        until = _WORDS - word[across]
        jump = (self._rows[last_across] - self._rows[first_across] - 1).astype(np.intp) * _WORDS
        words = []
        for offset in offsets:
            number = (offset - low) // 8
            here = at + number
            beyond = until <= number
            here[across[beyond]] += jump[beyond]
            words.append(self._store.take(here))
        return words

    def fields(self, addresses: U64, fields: Sequence[Field]) -> list[U64]:
        """Integer fields of up to 8 bytes, zero-extended, one array per field."""
        words = self.words(addresses, [field.offset & ~7 for field in fields])
        return [_field_of(word, field) for word, field in zip(words, fields, strict=True)]

    def one(self, address: int, field: Field) -> int:
        """One integer field of one object."""
        at = address + field.offset
        if not 0 <= at < 1 << 64 or at % min(field.size, 8):
            raise Torn("a pointer is not aligned")
        word = self._word(at & ~7)
        return word >> at % 8 * 8 & (1 << min(field.size, 8) * 8) - 1

    def _word(self, address: int) -> int:
        """The 8 bytes at one aligned address, from pages that were read where they were."""
        page, row = address >> _SHIFT, self._virtual.get(address >> _SHIFT)
        if row is None:
            at = np.array([page << _SHIFT], np.uint64)
            physical = self._space.physical(at).astype(np.intp) >> _SHIFT
            self._load(physical)
            row = self._virtual[page] = int(self._rows[physical][0]) - 1
        return int(self._store[row * _WORDS + (address & PAGE - 1) // 8])

    def text(self, address: int, most: int) -> bytes:
        """The bytes at an address, any alignment, up to a NUL or ``most``."""
        self._texts += 1
        if self._texts > MOST_TEXTS:
            raise Torn("there are more names than any process has")
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


def _field_of(word: U64, field: Field) -> U64:
    """A field out of the words that hold it."""
    if field.size >= 8 and field.offset % 8 == 0:
        return word
    mask = np.uint64((1 << min(field.size, 8) * 8) - 1)
    return word >> np.uint64(field.offset % 8 * 8) & mask
