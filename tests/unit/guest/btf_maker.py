# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Makes small BTF blobs and ELF files around them."""

from __future__ import annotations

import struct
from pathlib import Path

INT, PTR, ARRAY, STRUCT, UNION, TYPEDEF = 1, 2, 3, 4, 5, 8


class BtfMaker:
    """Types get ids in the order in which they are added; 0 is void."""

    def __init__(self) -> None:
        self._types = bytearray()
        self._strings = bytearray(b"\0")
        self._count = 0

    def _name(self, name: str) -> int:
        if not name:
            return 0
        at = len(self._strings)
        self._strings += name.encode() + b"\0"
        return at

    def _add(self, name: str, kind: int, last: int, more: bytes = b"", members: int = 0) -> int:
        self._types += struct.pack("<III", self._name(name), kind << 24 | members, last) + more
        self._count += 1
        return self._count

    def integer(self, name: str, size: int) -> int:
        return self._add(name, INT, size, struct.pack("<I", size * 8))

    def pointer(self, to: int = 0) -> int:
        return self._add("", PTR, to)

    def array(self, of: int, count: int) -> int:
        return self._add("", ARRAY, 0, struct.pack("<III", of, of, count))

    def typedef(self, name: str, to: int) -> int:
        return self._add(name, TYPEDEF, to)

    def structure(
        self, name: str, size: int, *members: tuple[str, int, int], kind: int = STRUCT
    ) -> int:
        """Members are (name, type, offset in bytes)."""
        more = b"".join(
            struct.pack("<III", self._name(member), kind_of, offset * 8)
            for member, kind_of, offset in members
        )
        return self._add(name, kind, size, more, len(members))

    def blob(self) -> bytes:
        head = struct.pack("<HBBI", 0xEB9F, 1, 0, 24)
        sizes = (0, len(self._types), len(self._types), len(self._strings))
        return head + struct.pack("<IIII", *sizes) + bytes(self._types + self._strings)


def elf_file(path: Path, sections: dict[str, bytes]) -> Path:
    """A 64-bit little-endian ELF file of nothing but sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    contents = {**sections, ".shstrtab": names}
    body, headers = b"", bytes(64)
    for name, content in contents.items():
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        kind = 3 if name == ".shstrtab" else 1
        headers += struct.pack(
            "<IIQQQQIIQQ", at, kind, 0, 0, 64 + len(body), len(content), 0, 0, 1, 0
        )
        body += content
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQ", 2, 62, 1, 0, 0, 64 + len(body))
    count = len(contents)
    head += struct.pack("<IHHHHHH", 0, 64, 0, 0, 64, count + 1, count)
    path.write_bytes(head + body + headers)
    return path


def build_id_note(build_id: bytes) -> bytes:
    return struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id


def longer(raw: bytes, kinds: bytes = b"") -> bytes:
    """With the header of 32 bytes that pahole 1.31 writes, and the sizes of kinds at its end."""
    type_offset, types, string_offset, strings = struct.unpack_from("<4I", raw, 8)
    head = raw[:4] + struct.pack("<I", 32)
    head += struct.pack("<4I", type_offset, types, string_offset, strings)
    return head + struct.pack("<2I", string_offset + strings, len(kinds)) + raw[24:] + kinds
