# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Types: fields found in BTF as C finds them; files of types found, checked and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.guest.btf_maker import UNION, BtfMaker, build_id_note, elf_file
from vmad.errors import TargetUnavailable
from vmad.sources.guest.btf import BadBtf, Btf, Field
from vmad.sources.guest.layout import WrongTypes, layout_of
from vmad.sources.guest.types import Types, read_types

OWN = b"\xaa" * 20


def small() -> bytes:
    make = BtfMaker()
    word = make.integer("long unsigned int", 8)
    short = make.integer("short int", 2)
    pointer = make.pointer(word)
    words = make.array(word, 4)
    named = make.typedef("word_t", word)
    inner = make.structure("", 16, ("left", short, 2), ("right", pointer, 8))
    either = make.structure("", 16, ("", inner, 0), ("raw", words, 0), kind=UNION)
    make.structure("list", 16, ("next", pointer, 0), ("prev", pointer, 8))
    make.structure(
        "thing", 64, ("first", named, 0), ("", either, 8), ("links", 8, 32), ("words", words, 32)
    )
    make.integer("thing", 8)  # a name that a type of another kind has too
    return make.blob()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("first", Field(0, 8)),
        ("left", Field(10, 2)),
        ("right", Field(16, 8)),
        ("raw", Field(8, 32)),
        ("links.prev", Field(40, 8)),
        ("links.none", None),
        ("first.none", None),
        ("none", None),
    ],
)
def test_fields_are_found_through_unnamed_members(path: str, expected: Field | None) -> None:
    assert Btf(small()).field("thing", path) == expected


def test_structures_are_found_by_their_whole_name() -> None:
    btf = Btf(small())
    assert btf.size_of("thing") == 64
    assert btf.size_of("thin") is None
    assert btf.field("ing", "first") is None


def test_this_kernels_own_types_are_enough() -> None:
    raw = Path("/sys/kernel/btf/vmlinux").read_bytes()
    layout = layout_of(Btf(raw))
    assert layout["vm_area_struct.vm_end"] == Field(8, 8)
    assert layout["task_struct.comm"].size == 16


def test_types_that_lack_a_field_are_refused() -> None:
    with pytest.raises(WrongTypes, match="task_struct has no pid"):
        layout_of(Btf(small()))


@pytest.mark.parametrize("raw", [b"", b"\x9f\xeb", small()[:40], b"\0" * 64])
def test_what_is_no_btf_is_refused(raw: bytes) -> None:
    with pytest.raises(BadBtf):
        Btf(raw)


def test_cut_types_are_refused() -> None:
    make = BtfMaker()
    make.structure("thing", 8, ("a", 1, 0))
    raw = bytearray(make.blob())
    raw[24 + 4] = 9  # more members than there are
    with pytest.raises(BadBtf):
        Btf(bytes(raw)).size_of("thing")


def test_a_vmlinux_gives_types_and_build_id(tmp_path: Path) -> None:
    note = build_id_note(OWN)
    path = elf_file(tmp_path / "vmlinux", {".BTF": small(), ".note.gnu.build-id": note})
    btf, build_id = read_types(path)
    assert btf.size_of("thing") == 64
    assert build_id == OWN.hex()


def test_a_btf_file_gives_types(tmp_path: Path) -> None:
    (tmp_path / "btf").write_bytes(small())
    btf, build_id = read_types(tmp_path / "btf")
    assert btf.size_of("thing") == 64
    assert build_id is None


def given(path: Path, *build_ids: bytes) -> str:
    with pytest.raises(TargetUnavailable) as caught:
        Types(str(path)).find("qemu:/s: kernel 6.1", "6.1", tuple(map(bytes.hex, build_ids)))
    return str(caught.value)


def test_types_of_another_build_are_refused(tmp_path: Path) -> None:
    sections = {".BTF": small(), ".notes": build_id_note(b"\xbb" * 20)}
    told = given(elf_file(tmp_path / "vmlinux", sections), OWN)
    assert "is of another build (bbbb" in told
    assert f"qemu:/s: kernel 6.1 is build {OWN.hex()}" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"text", "is neither BTF nor a 64-bit ELF file"),
        (b"\x7fELF\x02\x01" + b"\xff" * 100, "is a damaged ELF file"),
        (small()[:30], "cut off"),
    ],
)
def test_files_that_are_no_types_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert told in given(tmp_path / "file")


def test_a_vmlinux_without_btf_is_refused(tmp_path: Path) -> None:
    path = elf_file(tmp_path / "vmlinux", {".text": b"code"})
    assert "has no section .BTF; name a vmlinux with a section .BTF" in given(path)


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    assert "No such file or directory; name a file of types" in given(tmp_path / "absent")


def test_what_is_wanted_is_named() -> None:
    with pytest.raises(TargetUnavailable) as caught:
        Types().find("qemu:/s: kernel 6.1.0-x", "6.1.0-x", (OWN.hex(),))
    told = str(caught.value)
    assert told.startswith("qemu:/s: kernel 6.1.0-x holds no BTF (CONFIG_DEBUG_INFO_BTF)")
    assert OWN.hex() in told
    assert "--types FILE" in told
