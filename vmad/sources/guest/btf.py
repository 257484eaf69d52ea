# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where the fields of kernel structures lie, from BTF (Documentation/bpf/btf.rst).

Only what is asked for is decoded: one pass finds the place of every type, and fields are looked
up by name, through anonymous members as C does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

#: magic, version 1, no flags, a header of 24 bytes that the types follow at once
HEADER = struct.pack("<HBBIII", 0xEB9F, 1, 0, 24, 0, 0)[:12]

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
_TRANSPARENT = frozenset((TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG))
#: bytes after the common twelve: per type and per member
_FIXED = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}


class BadBtf(Exception):
    """The bytes are not BTF, or not whole."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a structure, bytes from its start."""

    offset: int
    size: int


class Btf:
    """Types of one kernel. ``raw`` is a whole BTF blob, or begins with one. Raises BadBtf."""

    def __init__(self, raw: bytes) -> None:
        if raw[: len(HEADER)] != HEADER or len(raw) < 24:
            raise BadBtf("no BTF header")
        type_length, string_offset, string_length = struct.unpack_from("<III", raw, 12)
        self.size = 24 + string_offset + string_length
        if string_offset < type_length or self.size > len(raw):
            raise BadBtf("cut off")
        self._types = raw[24 : 24 + type_length]
        self._strings = raw[24 + string_offset : self.size]

    @property
    def sections(self) -> tuple[bytes, bytes]:
        """(types, strings)."""
        return self._types, self._strings

    @cached_property
    def _places(self) -> list[int]:
        """Offset of each type by its id; id 0 is void."""
        places = [0]
        types, at, end = self._types, 0, len(self._types)
        unpack = struct.Struct("<4xI").unpack_from
        add = places.append
        try:
            while at < end:
                add(at)
                (head,) = unpack(types, at)
                kind = head >> 24 & 0x1F
                at += 12 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (head & 0xFFFF)
        except struct.error as error:
            raise BadBtf("cut off") from error
        if at != end:
            raise BadBtf("cut off")
        return places

    def _head(self, number: int) -> tuple[int, int, int, int]:
        """(name offset, kind, number of members, size or type) of a type."""
        name, head, last = struct.unpack_from("<III", self._types, self._places[number])
        return name, head >> 24 & 0x1F, head & 0xFFFF, last

    def _name(self, offset: int) -> bytes:
        return self._strings[offset : self._strings.index(b"\0", offset)]

    @cached_property
    def _structures(self) -> dict[int, int]:
        """Offset of the name -> type id, of structures and unions; the first of each name."""
        found: dict[int, int] = {}
        unpack, types = struct.Struct("<II").unpack_from, self._types
        for number, at in enumerate(self._places[1:], 1):
            name, head = unpack(types, at)
            if head >> 24 & 0x1F in (STRUCT, UNION) and name:
                found.setdefault(name, number)
        return found

    def structure(self, name: str) -> int | None:
        """The id of a structure; None where this kernel has none of that name."""
        # names are not unique as strings, so each place of the text is tried
        for match in re.finditer(b"(?<=\0)" + re.escape(name.encode()) + b"\0", self._strings):
            number = self._structures.get(match.start())
            if number is not None:
                return number
        return None

    def size_of(self, name: str) -> int | None:
        """Bytes of a structure; None where there is none."""
        number = self.structure(name)
        return None if number is None else self._head(number)[3]

    def field(self, structure: str, path: str) -> Field | None:
        """A field such as ("vm_area_struct", "vm_userfaultfd_ctx.ctx"); None where it is not.

        Bit fields are not looked for.
        """
        number, offset, size = self.structure(structure), 0, 0
        for name in path.split("."):
            if number is None:
                return None
            found = self._member(self._resolved(number), name.encode())
            if found is None:
                return None
            inner, number = found
            offset += inner
            size = self._size(number)
        return Field(offset, size)

    def _member(self, number: int, name: bytes) -> tuple[int, int] | None:
        """(offset, type id) of a member, anonymous ones looked into."""
        _, kind, count, _ = self._head(number)
        if kind not in (STRUCT, UNION):
            return None
        flagged = struct.unpack_from("<I", self._types, self._places[number] + 4)[0] >> 31
        at = self._places[number] + 12
        inside = []
        for member in range(count):
            called, type_id, offset = struct.unpack_from("<III", self._types, at + 12 * member)
            if flagged:
                if offset >> 24:
                    continue
                offset &= 0xFFFFFF
            if called == 0:
                inside.append((offset // 8, self._resolved(type_id)))
            elif self._name(called) == name:
                return offset // 8, type_id
        for base, inner in inside:
            found = self._member(inner, name)
            if found is not None:
                return base + found[0], found[1]
        return None

    def _resolved(self, number: int) -> int:
        """Through typedefs and qualifiers to the type itself."""
        while number:
            _, kind, _, target = self._head(number)
            if kind not in _TRANSPARENT:
                return number
            number = target
        return 0

    def _size(self, number: int) -> int:
        number = self._resolved(number)
        if number == 0:
            return 0
        _, kind, _, last = self._head(number)
        if kind == PTR:
            return 8
        if kind == ARRAY:
            at = self._places[number] + 12
            element, _, count = struct.unpack_from("<III", self._types, at)
            return self._size(element) * int(count)
        return last if kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT) else 0


def structure_sizes(raw: bytes, names: Collection[str]) -> dict[str, int]:
    """Bytes of these structures; those that are not there are left out. Raises BadBtf.

    One pass that keeps nothing, for who wants no more than that.
    """
    types, strings = Btf(raw).sections
    wanted = {}
    for name in names:
        for match in re.finditer(b"(?<=\0)" + re.escape(name.encode()) + b"\0", strings):
            wanted[match.start()] = name
    sizes: dict[str, int] = {}
    at, end = 0, len(types)
    unpack = struct.Struct("<III").unpack_from
    try:
        while at < end:
            name, head, size = unpack(types, at)
            kind = head >> 24 & 0x1F
            if kind == STRUCT and name in wanted:
                sizes.setdefault(wanted[name], size)
            at += 12 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (head & 0xFFFF)
    except struct.error as error:
        raise BadBtf("cut off") from error
    return sizes
