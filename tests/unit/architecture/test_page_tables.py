# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Walks of tables made here, for every form that a kernel may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.architecture.aarch64 import ADDRESS_BITS, page_table_format
from vmad.architecture.page_table import Leaf, PageTableFormat
from vmad.architecture.x86_64 import FIVE_LEVELS, FOUR_LEVELS

ROOT = 0x4100_0000
#: makes an entry: (physical address, level, is a leaf)
Encode = Callable[[int, int, bool], int]


def x86_entry(address: int, level: int, leaf: bool) -> int:
    return 1 << 63 | address | 0x63 | (0x80 if leaf and level else 0)


def arm_entry(page_shift: int, address_bits: int) -> Encode:
    """Attributes as Linux has them: accessed, inner shareable where the bits are free for that."""
    wide = address_bits == 52 and page_shift < 16

    def encode(address: int, level: int, leaf: bool) -> int:
        kind = 3 if level == 0 or not leaf else 1
        entry = 1 << 54 | 1 << 10 | kind
        if wide:
            return entry | (address & (1 << 50) - 1) | address >> 50 << 8
        if page_shift == 16:
            return entry | 3 << 8 | (address & (1 << 48) - 1) | address >> 48 << 12
        return entry | 3 << 8 | address

    return encode


FORMS: dict[str, tuple[PageTableFormat, Encode, int]] = {
    "x86 4 levels": (FOUR_LEVELS, x86_entry, 52),
    "x86 5 levels": (FIVE_LEVELS, x86_entry, 52),
    **{
        f"arm64 {1 << shift - 10} KiB, {bits} bits": (
            page_table_format(shift, bits), arm_entry(shift, bits), 52 if bits == 52 else 48
        )
        for shift, all_bits in ADDRESS_BITS.items()
        for bits in all_bits
    },
}  # fmt: skip


class Tables:
    """Tables in a dictionary of words."""

    def __init__(self, form: PageTableFormat, encode: Encode) -> None:
        self.form, self._encode = form, encode
        self.words: dict[int, int] = {}
        self._free = ROOT + (1 << 20)

    def read(self, at: int) -> int:
        return self.words.get(at, 0)

    def read_many(self, at: int, size: int) -> bytes:
        return b"".join(self.read(here).to_bytes(8, "little") for here in range(at, at + size, 8))

    def map(self, virtual: int, physical: int, level: int) -> None:
        table = ROOT
        for above in range(self.form.levels - 1, level, -1):
            at = table + 8 * self.form.index(above, virtual)
            if at not in self.words:
                self.words[at] = self._encode(self._free, above, False)
                self._free += 1 << self.form.page_shift
            found = self.form.decode(self.words[at], above)
            assert found is not None
            table = found.address
        self.words[table + 8 * self.form.index(level, virtual)] = self._encode(
            physical, level, True
        )

    def translate(self, virtual: int) -> int | None:
        return self.form.translate(self.read, ROOT, virtual)


@pytest.mark.parametrize("name", FORMS)
@given(data=st.data())
def test_pages_and_blocks_are_found_and_nothing_else(name: str, data: st.DataObject) -> None:
    form, encode, physical_bits = FORMS[name]
    tables = Tables(form, encode)
    kernel = (1 << 64) - (1 << form.address_bits)
    mapped: dict[int, Any] = {}
    for level in data.draw(st.lists(st.sampled_from((0, 0, 1)), min_size=1, max_size=4)):
        size = 1 << form.shift(level)
        virtual = (
            kernel + data.draw(st.integers(0, (1 << form.address_bits - 1) - 1)) // size * size
        )
        if any(virtual >> form.shift(1) == other >> form.shift(1) for other in mapped):
            continue
        physical = data.draw(st.integers(0, (1 << physical_bits) - 1)) // size * size
        tables.map(virtual, physical, level)
        mapped[virtual] = (physical, size)

    for virtual, (physical, size) in mapped.items():
        inside = data.draw(st.integers(0, size - 1))
        assert tables.translate(virtual + inside) == physical + inside
        if size == 1 << form.page_shift:
            assert tables.translate(virtual ^ size) is None


@pytest.mark.parametrize("name", FORMS)
def test_leaves_of_a_range_in_their_order(name: str) -> None:
    form, encode, _ = FORMS[name]
    tables = Tables(form, encode)
    small, large = 1 << form.page_shift, 1 << form.shift(1)
    base = (1 << 64) - (1 << form.address_bits) + 6 * large
    mapped = [
        (base - small, 0x4000_0000, small),
        (base, 2 * large, large),
        (base + large + 3 * small, 0x4000_0000 + small, small),
        (base + 2 * large - small, 0x4000_0000, small),
        (base + 3 * large, 4 * large, large),
    ]
    for virtual, physical, size in mapped:
        tables.map(virtual, physical, int(size == large))

    def leaves(start: int, end: int) -> list[Leaf]:
        return list(form.leaves(tables.read_many, ROOT, start, end))

    assert leaves(base - large, base + 4 * large) == mapped
    assert leaves(base + large - 1, base + large + 3 * small + 1) == mapped[1:3]
    assert leaves(base, base + large + 3 * small) == mapped[1:2]
    assert leaves(base + 2 * large, base + 3 * large) == []


@pytest.mark.parametrize(
    ("shift", "bits", "levels"),
    [(12, 39, 3), (12, 48, 4), (12, 52, 5), (14, 47, 3), (14, 48, 4), (14, 52, 4), (16, 42, 2),
     (16, 48, 3), (16, 52, 3)],
)  # fmt: skip
def test_arm_has_as_many_levels_as_linux_configures(shift: int, bits: int, levels: int) -> None:
    assert page_table_format(shift, bits).levels == levels


def test_shareability_is_no_part_of_an_address_but_with_52_bits() -> None:
    entry = 0x4020_0000 | 3 << 8 | 3

    assert page_table_format(12, 48).decode(entry, 0) == (0x4020_0000, True)
    assert page_table_format(12, 52).decode(entry, 0) == (0x4020_0000 | 3 << 50, True)
    assert page_table_format(16, 48).decode(0x4020_0000 | 5 << 12 | 3, 0) == (
        0x4020_0000 | 5 << 48, True,
    )  # fmt: skip


def test_what_is_not_valid_leads_nowhere() -> None:
    form = page_table_format(14, 48)
    assert form.decode(0x4020_0002, 0) is None
    assert form.decode(0x4020_0001, 0) is None  # reserved at the last level
    assert form.decode(0x4020_0001, 1) == (0x4020_0000, True)
