# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guest's kernel found in its memory: its name, its types, and the few places to start from.

Nothing is asked of the guest. The page tables of any processor show where the image lies (KASLR
or not); in it are its banner, its build-id, its BTF, the first task and the tables of sysctls,
each recognised by what it contains.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vmad.sources.guest.btf import BEGINNING, BadBtf, Btf, Bytes
from vmad.sources.guest.layout import Layout, from_json, layout_of

#: linux_banner (init/version.c); the release, then "(builder@host) (compiler) #version"
_BANNER = re.compile(rb"Linux version (\d[^ %\n\0]{0,127}) \([^\n\0]{0,1024}\n\0")
#: an ELF note of type NT_GNU_BUILD_ID with 20 bytes (SHA-1) or 16 (MD5, "fast")
_BUILD_ID = re.compile(
    rb"\x04\0\0\0(?:\x14\0\0\0\x03\0\0\0GNU\0(.{20})|\x10\0\0\0\x03\0\0\0GNU\0(.{16}))",
    re.DOTALL,
)
#: bytes of an embedded vdso before its build-id
_VDSO = 16 << 10
_ELF = b"\x7fELF"

#: places that are tried which look like something in an image: a guest may fill it with them
_MOST_TRIED = 64
_MOST_NOTES = 64
_MOST_NAMES = 4096

#: sysctls that are looked for; the second one only patched kernels have
SYSCTLS = ("max_map_count", "anon_vma_merge")


class NoTypes(Exception):
    """The image has no BTF."""


@dataclass(frozen=True)
class Anchors:
    """One build of a kernel, as offsets from the start of its image; equal at every boot of it.

    ``banner`` is the whole line. ``sysctls``: name -> place of its int.
    """

    release: str
    banner: str
    banner_offset: int
    build_ids: tuple[str, ...]
    init_task: int
    sysctls: Mapping[str, int]
    layout: Layout

    def as_json(self) -> dict[str, Any]:
        """What :func:`anchors_from_json` takes."""
        return {
            "release": self.release,
            "banner": self.banner,
            "banner_offset": self.banner_offset,
            "build_ids": list(self.build_ids),
            "init_task": self.init_task,
            "sysctls": dict(self.sysctls),
            "layout": self.layout.as_json(),
        }


def anchors_from_json(stored: Mapping[str, Any]) -> Anchors:
    """Raises KeyError, TypeError, ValueError, AttributeError, OverflowError for what was not
    written by ``as_json``.
    """
    return Anchors(
        str(stored["release"]),
        str(stored["banner"]),
        int(stored["banner_offset"]),
        tuple(map(str, stored["build_ids"])),
        int(stored["init_task"]),
        {str(name): int(place) for name, place in stored["sysctls"].items()},
        from_json(stored["layout"]),
    )


@dataclass(frozen=True, slots=True)
class Banner:
    """linux_banner: where it is, and what it says."""

    offset: int
    text: bytes
    release: str


def find_banner(raw: Bytes) -> Banner | None:
    """linux_banner in an image; None when this is no Linux."""
    at = raw.find(b"Linux version ")
    for _ in range(_MOST_NAMES):
        if at < 0:
            break
        match = _BANNER.match(raw, at)
        # boot code prints a template of its own, with no number after the "#"
        if match is not None and re.search(rb" #\d", match[0]):
            return Banner(at, match[0][:-1], match[1].decode("ascii", "replace"))
        at = raw.find(b"Linux version ", at + 1)
    return None


def find_build_ids(raw: Bytes) -> tuple[str, ...]:
    """Build-ids that may be the kernel's own: mostly one.

    Those of embedded vdsos are left out, and what the first programs left in memory that the
    kernel has given back: its own is there a second time, without the note around it, since 5.14
    (vmlinux_build_id, lib/buildid.c).
    """
    ids = []
    for match in islice(_BUILD_ID.finditer(raw), _MOST_NOTES):
        begin = max(match.start() - _VDSO, 0)
        if _ELF not in raw[begin : match.start()]:
            ids.append(match[1] or match[2])
    twice = [build_id for build_id in dict.fromkeys(ids) if raw.count(build_id) > 1]
    return tuple(build_id.hex() for build_id in twice or ids)


def find_btf(raw: Bytes) -> Btf:
    """The kernel's own types. Raises NoTypes, NoRoom."""
    for match in islice(BEGINNING.finditer(raw), _MOST_TRIED):
        # the twelve bytes may occur by chance
        with suppress(BadBtf):
            btf = Btf.whole(raw, match.start())
            if btf.structure("task_struct") is not None:
                return btf
    raise NoTypes


def find_anchors(raw: Bytes, start: int, banner: Banner, btf: Btf | None = None) -> Anchors | None:
    """Everything in an image whose virtual address is ``start``; None when there is no init_task
    where these types want it. Raises NoTypes, WrongTypes, BadBtf.
    """
    layout = layout_of(find_btf(raw) if btf is None else btf)
    init_task = next((at for at, of in init_tasks(raw, layout) if of == start), None)
    if init_task is None:
        return None
    return Anchors(
        banner.release,
        banner.text.decode("utf-8", "replace"),
        banner.offset,
        find_build_ids(raw),
        init_task,
        {
            name: place
            for name in SYSCTLS
            if (place := _sysctl(raw, start, layout, name)) is not None
        },
        layout,
    )


def _word(raw: Bytes, at: int) -> int:
    """8 bytes of the image; 0 beyond its end."""
    return int.from_bytes(raw[at : at + 8], "little")


def init_tasks(raw: Bytes, layout: Layout) -> Iterator[tuple[int, int]]:
    """(offset, where the image would have to begin) of what may be init_task.

    It has pid 0, is named as init_idle() names it, and is its own leader.
    """
    comm = layout["task_struct.comm"].offset
    at = raw.find(b"swapper/0\0")
    for _ in range(_MOST_NAMES):
        if at < 0:
            break
        base = at - comm
        if base >= 0:
            pid_at = base + layout["task_struct.pid"].offset
            pid = raw[pid_at : pid_at + 4]
            leader = _word(raw, base + layout["task_struct.group_leader"].offset)
            if pid == bytes(4):
                yield base, leader - base
        at = raw.find(b"swapper/0\0", at + 1)


def _sysctl(raw: Bytes, start: int, layout: Layout, name: str) -> int | None:
    """Offset of the int that a struct ctl_table in the image gives for ``name``."""
    procname, data = layout["ctl_table.procname"].offset, layout["ctl_table.data"].offset
    text = name.encode() + b"\0"
    tried = 0
    at = raw.find(text)
    while at >= 0:
        # the string may be the end of a longer one: linkers share tails
        pointer = struct.pack("<Q", start + at)
        entry = raw.find(pointer)
        while entry >= 0:
            base = entry - procname
            if base >= 0 and entry % 8 == 0:
                place = _word(raw, base + data) - start
                size_at = base + layout["ctl_table.maxlen"].offset
                size = raw[size_at : size_at + 4]
                if 0 <= place < len(raw) and size == b"\4\0\0\0":
                    return place
            tried += 1
            if tried > _MOST_TRIED:
                return None
            entry = raw.find(pointer, entry + 1)
        tried += 1
        if tried > _MOST_TRIED:
            return None
        at = raw.find(text, at + 1)
    return None
