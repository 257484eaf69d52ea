# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The sections of a 64-bit little-endian ELF file, as far as they tell what a program is.

Layout: elf(5). The file is anybody's: every offset and size is checked, and a file that is not
what it says is one without sections.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_PROGRAM = struct.Struct("<I28xQ16x")
_PT_INTERP = 3
_NOBITS = 8
#: bytes that are read of one section at most: names of symbols of most programs are less
LARGEST = 16 << 20
#: section headers and segments, of which real programs have some dozen
_MOST = 512


@dataclass(frozen=True, slots=True)
class ElfFile:
    """Names of its sections with (offset, size) in the file; ``static``: it names no loader."""

    sections: dict[str, tuple[int, int]]
    static: bool


def read_elf(fd: int) -> ElfFile | None:
    """The file at ``fd``; None where it is no such file. Raises OSError."""
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        return None
    fields = _HEADER.unpack(head)
    segments_at, sections_at = fields[4], fields[5]
    segment_size, segments, section_size, section_count, names_in = fields[8:13]
    interpreted = any(
        _PROGRAM.unpack_from(entry)[0] == _PT_INTERP
        for entry in _entries(fd, segments_at, segment_size, segments, _PROGRAM.size)
    )
    sections: dict[str, tuple[int, int]] = {}
    headers = [
        _SECTION.unpack_from(entry)
        for entry in _entries(fd, sections_at, section_size, section_count, _SECTION.size)
    ]
    if names_in < len(headers):
        names = _pread(fd, headers[names_in][5], headers[names_in][4])
        for header in headers:
            if header[1] != _NOBITS:
                sections[_text(names, header[0])] = (header[4], header[5])
    return ElfFile(sections, not interpreted)


def section(fd: int, elf: ElfFile, name: str) -> bytes:
    """The bytes of a section, at most LARGEST; none where there is none. Raises OSError."""
    offset, size = elf.sections.get(name, (0, 0))
    return _pread(fd, size, offset)


def symbols_among(fd: int, elf: ElfFile, names: Iterable[str]) -> frozenset[str]:
    """Those of ``names`` that the program defines or needs, by its tables of strings."""
    texts = [section(fd, elf, table) for table in (".strtab", ".dynstr")]
    return frozenset(
        name for name in names if any(b"\0" + name.encode() + b"\0" in text for text in texts)
    )


def _entries(fd: int, at: int, size: int, number: int, least: int) -> list[bytes]:
    if size < least or not 0 < number <= _MOST:
        return []
    table = _pread(fd, size * number, at)
    return [table[i : i + size] for i in range(0, len(table) - size + 1, size)]


def _pread(fd: int, size: int, offset: int) -> bytes:
    if not size or offset >= 1 << 62:
        return b""
    return os.pread(fd, min(size, LARGEST), offset)


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else at].decode("ascii", "replace")
