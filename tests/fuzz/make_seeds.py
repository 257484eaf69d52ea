# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes tests/fuzz/seeds: small real inputs of each parser. Findings are added by hand."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tests.fuzz.guests import recorded_guests
from tests.fuzz.parsers import CUT, MEMBERS, PID, SEEDS
from tests.unit.blame.samples import BLAMED
from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import Area, alternating, table_of
from tests.unit.guest.btf_maker import BtfMaker, build_id_note, elf_file, longer
from vmad.export.blame_json import blame_json
from vmad.scan.inheritance import INHERITED
from vmad.sources.guest.cache import FORMAT
from vmad.sources.npy import pack_array
from vmad.timeline.packed import pack
from vmad.timeline.timeline import Timeline

HTTP = b"GET /metrics?target=a HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;q=0.5\r\n\r\n"
QMP = (
    b'{"QMP": {"version": {}}}\n{"return": {}, "id": 1}\n'
    b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\n'
    b'{"return": {"status": "running"}, "id": 2}\n{"error": {"desc": "no"}, "id": 3}\n'
)
MAPS = (
    b"5000-6000 r-xp 00000000 08:01 12 /usr/bin/a b\n6000-7000 rw-p 00000000 00:00 0 [heap]\n"
    b"7000-9000 rw-p 00000000 00:00 0\n9000-a000 ---p 00000000 00:00 0\n"
)
SMAPS = (
    b"7000-9000 rw-p 00000000 00:00 0\nSize: 8 kB\nRss: 4 kB\nAnonymous: 4 kB\n"
    b"VmFlags: rd wr mr mw me ac \n9000-a000 ---p 00000000 00:00 0\nSize: 4 kB\n"
    b"VmFlags: mr mw me \n"
)
INDEX = (
    b"Package: linux-image-6.1.0-56-cloud-amd64\nVersion: 6.1.192-2\nSize: 1000\nSHA256: "
    + b"ab" * 32 + b"\n\n"
)  # fmt: skip
STAT = (
    b"12 (a) b) S 1 12 12 0 -1 4194560 1 0 1 0 1 2 0 0 20 0 1 0 100 4096 1 "
    b"18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)

VMCOREINFO = b"""\
OSRELEASE=6.1.0-57-cloud-arm64
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=ffffcb2076d8f000
SYMBOL(_stext)=ffffcb2075a10000
NUMBER(VA_BITS)=48
NUMBER(kimage_voffset)=0xffffcb2035800000
NUMBER(TCR_EL1_T1SZ)=0x10
"""
#: sizes of kinds that a header of 32 bytes tells (struct btf_layout): of one beyond those known
KINDS = bytes(4 * 20) + b"\4\x08\0\0"


def types() -> bytes:
    """A few types, each kind that is looked into."""
    make = BtfMaker()
    word = make.integer("long", 8)
    inner = make.structure("", 16, ("left", word, 0), ("right", make.pointer(word), 8))
    make.structure(
        "thing", 64, ("first", make.typedef("word_t", word), 0), ("", inner, 8),
        ("links", make.array(word, 4), 24),
    )  # fmt: skip
    make.structure("task_struct", 4096, ("pid", word, 0))
    return make.blob()


def seeds() -> dict[str, list[bytes]]:
    """By parser."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "capture")
        areas = [*alternating(6), Area(path="/lib")]
        capture(path, [table_of(areas, pid=PID)])
        recorded = path.read_bytes()
        elf = elf_file(
            Path(directory, "elf"), {".BTF": types(), ".notes": build_id_note(b"\xaa" * 20)}
        ).read_bytes()
        with zipfile.ZipFile(path) as archive:
            members = CUT.join(map(archive.read, MEMBERS))
    packed = pack(Timeline(), "boot")
    (anchors,) = recorded_guests()[-1].cache
    known = json.dumps({"format": FORMAT, **anchors.as_json()}).encode()
    history = np.zeros(2, INHERITED)
    history["pid"] = (1, 20)
    banner = b"Linux version 6.1.0-9 (b@h) (gcc) #1 SMP\n\0"
    return {
        "capture": [recorded],
        "capture_members": [members],
        "timeline": [zlib.decompress(packed), packed],
        "recording": ["".join(blame_json(BLAMED)).encode()],
        "guest_memory": [bytes([number]) + bytes(13) for number in range(8)],
        "known_kernel": [known],
        "elf": [elf],
        "perf_map": [b"1000 20 main\n1020 8 a b\n"],
        "array": [pack_array(np.arange(3, dtype="<i4"))],
        "state": [b"vmad.history/1 boot\n" + pack_array(history)],
        "marks": [b'{"schema": "vmad.marks/1", "groups": {"a.service": [[12, 1.5]]}}'],
        "maps": [MAPS],
        "smaps": [SMAPS],
        "small_texts": [STAT, b"0::/system.slice/a.service\n", b"7000 default anon=1 N0=1\n"],
        "configuration": [b"scan: {interval: 15s}\ngroups:\n- {name: a, match: {comm: b}}\n"],
        "web_configuration": [b"http_server_config: {headers: {X-Frame-Options: deny}}\n"],
        "http": [HTTP],
        "btf": [types(), longer(types(), KINDS)],
        "types_file": [types(), elf, longer(types(), KINDS)],
        "image": [banner + build_id_note(b"\xaa" * 20) + types()],
        "page_tables": [b"\x23\0\0\0\0\0\0\0" * 512, b"\xa3\0\0\0\0\0\0\0" * 512],
        "vmcoreinfo": [VMCOREINFO],
        "memory_tree": [
            b'FlatView #0\n AS "memory"\n'
            b"  0000000000000000-000000000009ffff (prio 0, ram): pc.ram\n"
        ],
        "qmp": [QMP],
        "package_index": [INDEX],
    }


if __name__ == "__main__":
    for name, contents in seeds().items():
        (SEEDS / name).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (SEEDS / name / f"{number}").write_bytes(content)
