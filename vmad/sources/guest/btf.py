# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where the fields of kernel structures lie, from BTF (Documentation/bpf/btf.rst).

Only what is asked for is decoded: one pass finds the place of every type, and fields are looked
up by name, through anonymous members as C does.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from vmad.sources.room import need

#: how BTF begins: magic, version 1, no flags, a header of 24 bytes, or of 32 with the place of the
#: sizes of its kinds (222edc843c15, 2026; pahole 1.31), that the types follow at once
BEGINNING = re.compile(rb"\x9f\xeb\x01\0[\x18\x20]\0\0\0\0\0\0\0")
BEGINNING_SIZE = 12
_SIZES = struct.Struct("<III")
#: kinds that a header may tell of
_MOST_KINDS = 128
#: struct btf_layout: bytes once, bytes per member, flags
_LAYOUT = struct.Struct("<BBH")

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
_TRANSPARENT = frozenset((TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG))
#: bytes after the common twelve: per type and per member
_FIXED = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}

#: bytes of types and strings, structures, members of one, steps through qualifiers and arrays,
#: unnamed members within each other: many times what kernels have, so that nothing that a guest
#: claims takes long (6.18: 5.5 MB, 9,730, 272, 6, 4)
LARGEST = 64 << 20
_MOST_STRUCTURES = 1 << 17
_MOST_MEMBERS = 1 << 13
_MOST_STEPS = 64
_DEEPEST = 16
#: times the size of types that all that is made of them takes
_COPIES = 3
#: places of the strings at which a structure's name may stand
_MOST_NAMES = 1024
#: bytes of a field
_LARGEST_FIELD = 1 << 32


#: what types may lie in: an image is not copied to be looked at
Bytes = bytes | bytearray


class BadBtf(Exception):
    """The bytes are not BTF, or not whole."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a structure, bytes from its start."""

    offset: int
    size: int


class Btf:
    """Types of one kernel. ``raw`` is a whole BTF blob, or begins with one. Raises BadBtf."""

    def __init__(self, raw: Bytes) -> None:
        if not BEGINNING.match(raw) or len(raw) < 24:
            raise BadBtf("no BTF header")
        header = raw[4]
        type_length, string_offset, string_length = _SIZES.unpack_from(raw, BEGINNING_SIZE)
        self.size = header + string_offset + string_length
        if string_offset < type_length or self.size > len(raw):
            raise BadBtf("cut off")
        if self.size > LARGEST:
            raise BadBtf(f"of {self.size:,} bytes, more than any kernel has")
        self._kinds = _kind_sizes(raw, header)
        self._types = raw[header : header + type_length]
        self._strings = raw[header + string_offset : self.size]
        self._found: dict[str, int | None] = {}

    @staticmethod
    def whole(raw: Bytes, at: int = 0) -> Btf:
        """The BTF that begins somewhere in a larger text. Raises BadBtf, NoRoom."""
        if len(raw) < at + 24:
            raise BadBtf("cut off")
        _, offset, length = _SIZES.unpack_from(raw, at + BEGINNING_SIZE)
        end = raw[at + 4] + offset + length + 4 * _MOST_KINDS  # the sizes of kinds may come last
        size = min(end, LARGEST + 1, len(raw) - at)
        need(_COPIES * size, "what is made of the types of a guest's kernel")
        return Btf(raw[at : at + size])

    def heads(self) -> Iterator[tuple[int, int, int]]:
        """(offset, name offset, kind) of each type. Raises BadBtf."""
        return _heads(self._types, self._kinds)

    @property
    def sections(self) -> tuple[Bytes, Bytes]:
        """(types, strings)."""
        return self._types, self._strings

    @cached_property
    def _places(self) -> array[int]:
        """Offset of each type by its id; id 0 is void."""
        places = array("I", [0])
        for at, _, _ in self.heads():
            places.append(at)
        return places

    def _head(self, number: int) -> tuple[int, int, int, int]:
        """(name offset, kind, number of members, size or type) of a type. Raises BadBtf."""
        if not 0 < number < len(self._places):
            raise BadBtf(f"type {number} is not there")
        name, head, last = _SIZES.unpack_from(self._types, self._places[number])
        return name, _kind(head), _members(head), last

    def _name(self, offset: int) -> Bytes:
        end = self._strings.find(b"\0", offset)
        if end < 0:
            raise BadBtf("a name is not there")
        return self._strings[offset:end]

    @cached_property
    def _structures(self) -> dict[int, int]:
        """Offset of the name -> type id, of structures and unions; the first of each name."""
        numbers: dict[int, int] = {}
        unpack, types = struct.Struct("<II").unpack_from, self._types
        for number, at in enumerate(self._places[1:], 1):
            name, head = unpack(types, at)
            if _kind(head) in (STRUCT, UNION) and name:
                numbers.setdefault(name, number)
                if len(numbers) > _MOST_STRUCTURES:
                    raise BadBtf("more structures than any kernel has")
        return numbers

    def structure(self, name: str) -> int | None:
        """The id of a structure; None where this kernel has none of that name. Raises BadBtf."""
        if name not in self._found:
            places = _places_of(name, self._strings)
            numbers = (self._structures.get(at) for at in places)
            self._found[name] = next((number for number in numbers if number is not None), None)
        return self._found[name]

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
            member = self._member(self._resolved(number), name.encode(), set(), 0)
            if member is None:
                return None
            inner, number = member
            offset += inner
            size = self._size(number)
        return Field(offset, size)

    def _member(
        self, number: int, name: bytes, seen: set[int], depth: int
    ) -> tuple[int, int] | None:
        """(offset, type id) of a member, anonymous ones looked into, each once."""
        if number == 0 or number in seen:
            return None
        if depth > _DEEPEST:
            raise BadBtf("unnamed members lie too deep within each other")
        seen.add(number)
        _, kind, count, _ = self._head(number)
        if kind not in (STRUCT, UNION):
            return None
        if count > _MOST_MEMBERS:
            raise BadBtf("a structure has more members than any of a kernel")
        flagged = struct.unpack_from("<I", self._types, self._places[number] + 4)[0] >> 31
        at = self._places[number] + 12
        inside = []
        for member in range(count):
            called, type_id, offset = _SIZES.unpack_from(self._types, at + 12 * member)
            if flagged:
                if offset >> 24:
                    continue
                offset &= 0xFFFFFF
            if called == 0:
                inside.append((offset // 8, self._resolved(type_id)))
            elif self._name(called) == name:
                return offset // 8, type_id
        for base, inner in inside:
            deeper = self._member(inner, name, seen, depth + 1)
            if deeper is not None:
                return base + deeper[0], deeper[1]
        return None

    def _resolved(self, number: int) -> int:
        """Through typedefs and qualifiers to the type itself."""
        for _ in range(_MOST_STEPS):
            if number == 0:
                return 0
            _, kind, _, target = self._head(number)
            if kind not in _TRANSPARENT:
                return number
            number = target
        raise BadBtf("a type is made of itself")

    def _size(self, number: int) -> int:
        times = 1
        for _ in range(_MOST_STEPS):
            number = self._resolved(number)
            if number == 0:
                return 0
            _, kind, _, last = self._head(number)
            if kind == ARRAY:
                element, _, count = _SIZES.unpack_from(self._types, self._places[number] + 12)
                number, times = element, times * int(count)
                if times >= _LARGEST_FIELD:
                    raise BadBtf("an array is larger than any memory")
                continue
            if kind == PTR:
                return 8 * times
            return last * times if kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT) else 0
        raise BadBtf("an array is made of itself")


def _kind(head: int) -> int:
    """The kind of a type: 7 bits since pahole 1.31; before, those above 5 were 0."""
    return head >> 24 & 0x7F


def _members(head: int) -> int:
    """The number of members: 24 bits since pahole 1.31; before, those above 16 were 0."""
    return head & 0xFFFFFF


def _kind_sizes(raw: Bytes, header: int) -> dict[int, tuple[int, int]]:
    """Bytes after the common twelve, once and per member, by kind.

    A longer header names them (struct btf_layout, by kind), so that kinds which are not known here
    can be passed over.
    """
    known = {kind: (_FIXED.get(kind, 0), _EACH.get(kind, 0)) for kind in range(1, ENUM64 + 1)}
    if header < 32 or len(raw) < 32:
        return known
    offset, length = struct.unpack_from("<II", raw, 24)
    begin = header + offset
    table = raw[begin : begin + min(length, 4 * _MOST_KINDS)]
    told = {
        kind: (once, per_member)
        for kind, (once, per_member, _) in enumerate(
            _LAYOUT.iter_unpack(table[: len(table) // 4 * 4])
        )
    }
    return {kind: sizes for kind, sizes in told.items() if kind > ENUM64} | known


def _heads(types: Bytes, kinds: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    at, end = 0, len(types)
    unpack = struct.Struct("<II").unpack_from
    try:
        while at < end:
            name, head = unpack(types, at)
            kind = _kind(head)
            if kind not in kinds:
                raise BadBtf(f"a type of kind {kind}, which is not known")
            once, per_member = kinds[kind]
            following = at + 12 + once + per_member * _members(head)
            if following > end:
                raise BadBtf("cut off")
            yield at, name, kind
            at = following
    except struct.error as error:
        raise BadBtf("cut off") from error


def _places_of(name: str, strings: Bytes) -> list[int]:
    """Where a name stands in the strings, whole; names are not unique as strings."""
    text = b"\0" + name.encode() + b"\0"
    places = []
    at = strings.find(text)
    while at >= 0:
        places.append(at + 1)
        if len(places) > _MOST_NAMES:
            raise BadBtf(f"its strings are full of {name}")
        at = strings.find(text, at + 1)
    return places


def structure_sizes(raw: bytes, names: Collection[str]) -> dict[str, int]:
    """Bytes of these structures; those that are not there are left out. Raises BadBtf.

    One pass that keeps nothing, for who wants no more than that.
    """
    btf = Btf(raw)
    types, strings = btf.sections
    name_of = {at: name for name in names for at in _places_of(name, strings)}
    sizes: dict[str, int] = {}
    for at, name_at, kind in btf.heads():
        if kind == STRUCT and name_at in name_of:
            sizes.setdefault(name_of[name_at], struct.unpack_from("<I", types, at + 8)[0])
    return sizes
