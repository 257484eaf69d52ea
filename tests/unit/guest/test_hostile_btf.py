# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Types that a guest made up: refused as such, after little work, whatever they claim."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.unit.guest.btf_maker import BtfMaker, longer
from vmad.sources.guest.btf import BadBtf, Btf, Field, structure_sizes
from vmad.sources.guest.kernel import NoTypes, find_banner, find_btf, find_build_ids
from vmad.sources.guest.layout import WrongTypes, layout_of


def thing_of(make: Callable[[BtfMaker], int]) -> Btf:
    """A structure "thing" with a member "member" of the type that ``make`` gives."""
    maker = BtfMaker()
    maker.structure("thing", 64, ("member", make(maker), 0))
    return Btf(maker.blob())


def typedef_of_itself(make: BtfMaker) -> int:
    return make.typedef("loop", 1)


def array_of_itself(make: BtfMaker) -> int:
    return make.array(1, 1)


def array_beyond_all(make: BtfMaker) -> int:
    of = make.integer("long", 8)
    for _ in range(4):
        of = make.array(of, 1 << 31)
    return of


def beyond_the_end(_: BtfMaker) -> int:
    return 4711


@pytest.mark.parametrize(
    "make", [typedef_of_itself, array_of_itself, array_beyond_all, beyond_the_end]
)
def test_a_type_that_cannot_be_is_refused(make: Callable[[BtfMaker], int]) -> None:
    btf = thing_of(make)
    with pytest.raises(BadBtf):
        btf.field("thing", "member.inner")
    with pytest.raises(BadBtf):
        btf.field("thing", "member")


def test_unnamed_members_that_nest_twice_each_are_looked_into_once() -> None:
    make = BtfMaker()
    inner = make.structure("", 8, ("leaf", make.integer("long", 8), 0))
    for _ in range(15):
        inner = make.structure("", 8, ("", inner, 0), ("", inner, 0))
    make.structure("thing", 8, ("", inner, 0))
    btf = Btf(make.blob())

    assert btf.field("thing", "nothing") is None
    assert btf.field("thing", "leaf") == Field(0, 8)


def test_unnamed_members_without_end_are_refused() -> None:
    make = BtfMaker()
    inner = make.structure("", 8)
    for _ in range(2000):
        inner = make.structure("", 8, ("", inner, 0))
    make.structure("thing", 8, ("", inner, 0))
    with pytest.raises(BadBtf, match="too deep"):
        Btf(make.blob()).field("thing", "leaf")


def test_a_name_beyond_the_strings_is_refused() -> None:
    make = BtfMaker()
    make.structure("thing", 8, ("member", make.integer("long", 8), 0))
    raw = bytearray(make.blob())
    last_member = len(make._types) - 12
    struct.pack_into("<I", raw, 24 + last_member, 1 << 30)
    with pytest.raises(BadBtf, match="a name is not there"):
        Btf(bytes(raw)).field("thing", "member")


def test_a_kind_that_nobody_knows_is_refused() -> None:
    make = BtfMaker()
    make._add("thing", 77, 0)
    with pytest.raises(BadBtf, match="kind 77"):
        Btf(make.blob()).size_of("thing")


def test_the_longer_header_is_read() -> None:
    make = BtfMaker()
    make.structure("thing", 64, ("first", make.integer("long", 8), 8))
    raw = longer(make.blob())

    assert Btf(raw).field("thing", "first") == Field(8, 8)
    assert structure_sizes(raw, ["thing"]) == {"thing": 64}
    assert find_btf(b"before" + with_tasks(raw=True)).size_of("task_struct") == 4096


def with_tasks(*, raw: bool) -> bytes:
    make = BtfMaker()
    make.structure("task_struct", 4096)
    return longer(make.blob()) if raw else make.blob()


def test_kinds_that_the_header_tells_of_are_passed_over() -> None:
    make = BtfMaker()
    make._add("newcomer", 20, 0, bytes(4 + 3 * 8), members=3)
    make.structure("thing", 64, ("first", make.integer("long", 8), 8))
    kinds = bytes(4 * 20) + struct.pack("<BBH", 4, 8, 0)

    assert Btf(longer(make.blob(), kinds)).field("thing", "first") == Field(8, 8)
    with pytest.raises(BadBtf, match="kind 20"):
        Btf(longer(make.blob())).size_of("thing")


def test_more_members_than_65_535_are_counted() -> None:
    """vlen has 24 bits since pahole 1.31."""
    make = BtfMaker()
    make._add("many", 6, 4, bytes(8 * 70_000), members=70_000)  # an enum
    make.structure("thing", 64)

    assert Btf(make.blob()).size_of("thing") == 64


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(with_tasks(raw=False)[:24] * 400_000, id="headers"),
        pytest.param(b"Linux version 1 (" * 500_000, id="banners"),
        pytest.param(b"\x04\0\0\0\x10\0\0\0\x03\0\0\0GNU\0" + bytes(16), id="a build-id"),
        pytest.param((b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0" + bytes(20)) * 200_000, id="notes"),
    ],
)
def test_an_image_full_of_beginnings_is_no_kernel(raw: bytes) -> None:
    assert find_banner(raw) is None
    assert len(find_build_ids(raw)) <= 64
    with pytest.raises(NoTypes):
        find_btf(raw)


def test_a_structure_name_that_fills_the_strings_is_refused() -> None:
    make = BtfMaker()
    for _ in range(2000):
        make.integer("thing", 8)
    with pytest.raises(BadBtf, match="full of thing"):
        Btf(make.blob()).structure("thing")


def test_fields_where_no_kernel_has_them_are_refused() -> None:
    make = BtfMaker()
    huge = make.array(make.integer("long", 8), 1 << 20)
    make.structure("task_struct", 1 << 23, ("pid", huge, 0))
    with pytest.raises((WrongTypes, BadBtf)):
        layout_of(Btf(make.blob()))
