# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is found in a kernel's image: its name among templates, its build-id among others."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from tests.unit.guest.btf_maker import BtfMaker, build_id_note
from tests.unit.guest.conftest import Recorded
from vmad.sources.guest.btf import Btf
from vmad.sources.guest.cache import FORMAT, AnchorCache
from vmad.sources.guest.kernel import (
    NoTypes,
    anchors_from_json,
    find_anchors,
    find_banner,
    find_btf,
    find_build_ids,
)

START = 0xFFFF_FFFF_8100_0000
TEMPLATE = b"Linux version 6.1.0 (builder@host) (gcc) # SMP\n\0"
BANNER = b"Linux version 6.1.0-9-amd64 (builder@host) (gcc) #1 SMP PREEMPT Debian\n"
OWN, LEFT_OVER, OF_VDSO = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20


def test_the_banner_is_told_from_its_templates() -> None:
    raw = b"%s version %s\0Linux version %s\0" + TEMPLATE + BANNER + b"\0"
    banner = find_banner(raw)
    assert banner is not None
    assert banner.release == "6.1.0-9-amd64"
    assert raw[banner.offset :].startswith(BANNER)


@pytest.mark.parametrize("raw", [b"", b"Linux version ", TEMPLATE, b"NetBSD 10.0"])
def test_what_has_no_banner_is_no_linux(raw: bytes) -> None:
    assert find_banner(raw) is None


def test_the_build_id_that_the_kernel_keeps_is_its_own() -> None:
    vdso = b"\x7fELF" + bytes(500) + build_id_note(OF_VDSO) + bytes(32 << 10)
    raw = vdso + build_id_note(OWN) + bytes(99) + build_id_note(LEFT_OVER) + bytes(99) + OWN
    assert find_build_ids(raw) == (OWN.hex(),)


def test_without_a_second_copy_all_may_be_its_own() -> None:
    raw = build_id_note(OWN) + bytes(99) + build_id_note(LEFT_OVER)
    assert find_build_ids(raw) == (OWN.hex(), LEFT_OVER.hex())


def test_btf_is_the_one_with_tasks() -> None:
    module, kernel = BtfMaker(), BtfMaker()
    module.structure("of_a_module", 8)
    kernel.structure("task_struct", 4096)
    raw = b"\x9f\xeb\x01\0" + bytes(60) + module.blob() + b"between" + kernel.blob() + bytes(100)
    assert find_btf(raw).size_of("task_struct") == 4096


def test_an_image_without_btf_is_told() -> None:
    with pytest.raises(NoTypes):
        find_btf(bytes(1000))


def image(shared_tail: bool) -> bytes:
    """An image with a first task and a table of one sysctl, by the types of this machine."""
    layout_btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())

    def offset(structure: str, field: str) -> int:
        place = layout_btf.field(structure, field)
        assert place is not None
        return place.offset

    raw = bytearray(64 << 10)
    task, table, name, value = 4096, 32768, 40960, 40000
    comm = task + offset("task_struct", "comm")
    raw[comm : comm + 10] = b"swapper/0\0"
    struct.pack_into("<Q", raw, task + offset("task_struct", "group_leader"), START + task)
    # a name that only looks like the first task's: another leader
    raw[100:110] = b"swapper/0\0"
    text = b"sysctl_max_map_count\0" if shared_tail else b"max_map_count\0"
    raw[name : name + len(text)] = text
    at = START + name + len(text) - len(b"max_map_count\0")
    struct.pack_into("<Q", raw, table + offset("ctl_table", "procname"), at)
    struct.pack_into("<Q", raw, table + offset("ctl_table", "data"), START + value)
    struct.pack_into("<I", raw, table + offset("ctl_table", "maxlen"), 4)
    raw[50000 : 50000 + len(BANNER)] = BANNER
    return bytes(raw)


@pytest.mark.parametrize("shared_tail", [False, True])
def test_first_task_and_sysctl_are_found_by_what_they_are(shared_tail: bool) -> None:
    raw = image(shared_tail)
    banner = find_banner(raw)
    assert banner is not None
    btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    anchors = find_anchors(raw, START, banner, btf)
    assert anchors is not None
    assert anchors.init_task == 4096
    assert anchors.sysctls == {"max_map_count": 40000}
    assert anchors_from_json(json.loads(json.dumps(anchors.as_json()))) == anchors


def test_types_of_another_kernel_find_no_first_task() -> None:
    raw = image(False)
    banner = find_banner(raw)
    assert banner is not None
    btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    assert find_anchors(bytes(8) + raw, START, banner, btf) is None


def test_kernels_are_remembered(tmp_path: Path, guest: Recorded) -> None:
    AnchorCache(tmp_path / "kept").add(guest.anchors)
    assert list(AnchorCache(tmp_path / "kept")) == [guest.anchors]


def test_a_memory_of_other_fields_is_none(tmp_path: Path, guest: Recorded) -> None:
    AnchorCache(tmp_path).add(guest.anchors)
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text().replace(FORMAT, "another"))
    assert list(AnchorCache(tmp_path)) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 0}', "\0"])
def test_a_damaged_memory_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert list(AnchorCache(tmp_path)) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"sysctls": ["max_map_count"]}, id="a list in place of an object"),
        pytest.param({"banner_offset": math.inf}, id="a number without end"),
        pytest.param({"layout": {"fields": 1, "sizes": {}}}, id="a layout of nothing"),
        pytest.param({"init_task": None}, id="no number"),
    ],
)
def test_a_memory_that_is_damaged_within_is_none(
    tmp_path: Path, guest: Recorded, damage: dict[str, object]
) -> None:
    stored = {"format": FORMAT, **guest.anchors.as_json(), **damage}
    (tmp_path / "x.json").write_text(json.dumps(stored))
    assert list(AnchorCache(tmp_path)) == []


def test_a_memory_without_an_end_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000)
    assert list(AnchorCache(tmp_path)) == []


def test_a_memory_that_cannot_be_written_does_no_harm(guest: Recorded) -> None:
    cache = AnchorCache(Path("/proc/absent"))
    cache.add(guest.anchors)
    assert list(cache) == [guest.anchors]
