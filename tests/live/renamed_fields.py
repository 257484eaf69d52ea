# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A compiled BPF program whose types have other names, without a compiler.

libbpf finds the kernel's structures, fields and enumerators by the names in the program's own types
(section .BTF, Documentation/bpf/btf.rst): one that no kernel has stands for a kernel without it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_BTF = struct.Struct("<HBBIIIII")  # struct btf_header
_STRUCT, _UNION, _ENUM, _ENUM64 = 4, 5, 6, 19
#: bytes behind a type by its kind: (once, for each of its parts)
_BEHIND = {
    1: (4, 0), 3: (12, 0), _STRUCT: (0, 12), _UNION: (0, 12), _ENUM: (0, 8), 13: (0, 8), 14: (4, 0),
    15: (0, 12), 17: (4, 0), _ENUM64: (0, 12),
}  # fmt: skip


def renamed_programs(names: Mapping[str, str], here: Path, into: Path) -> None:
    """Every compiled program of ``here`` with these names, in ``into``.

    Raises KeyError for a name that none of them has.
    """
    absent = set(names)
    for path in here.glob("*.bpf.o"):
        program = path.read_bytes()
        absent -= {name for name in absent if b"\0%b\0" % name.encode() in program}
        (into / path.name).write_bytes(renamed(program, names))
    if absent:
        raise KeyError(*absent)


def renamed(elf: bytes, names: Mapping[str, str]) -> bytes:
    """The program with other names of structures, unions, enums, their members and enumerators.

    All at once: two names may change places.
    """
    (table,), (size, number, names_at) = (
        struct.unpack_from("<Q", elf, 0x28), struct.unpack_from("<HHH", elf, 0x3A),
    )  # fmt: skip
    sections = [_SECTION.unpack_from(elf, table + size * each) for each in range(number)]
    strings = sections[names_at][4]
    (found,) = [
        each
        for each, section in enumerate(sections)
        if elf[strings + section[0] :].startswith(b".BTF\0")
    ]
    _, _, _, _, offset, length, *_ = sections[found]
    types = _renamed_types(elf[offset : offset + length], names)
    whole = bytearray(elf) + bytes(-len(elf) % 8)
    # the new ones behind all else: nothing moves
    struct.pack_into("<QQ", whole, table + size * found + 24, len(whole), len(types))
    return bytes(whole + types)


def _renamed_types(btf: bytes, names: Mapping[str, str]) -> bytes:
    magic, version, flags, head, types_at, types_size, strings_at, strings_size = _BTF.unpack_from(
        btf
    )
    strings = btf[head + strings_at :][:strings_size]
    places = {_offset(strings, name): name for name in names}
    added, at = b"", {}
    for place, name in places.items():
        at[place] = len(strings) + len(added)
        added += names[name].encode() + b"\0"
    types = bytearray(btf[head + types_at :][:types_size])
    for place in _names_of(types):
        (name_at,) = struct.unpack_from("<I", types, place)
        if name_at in at and name_at:
            struct.pack_into("<I", types, place, at[name_at])
    header = _BTF.pack(
        magic, version, flags, head, 0, len(types), len(types), len(strings) + len(added)
    )
    return header + btf[_BTF.size : head] + bytes(types) + strings + added


def _offset(strings: bytes, name: str) -> int:
    """Of a name among the strings; 0, which no name has, where it is not there."""
    return strings.find(b"\0" + name.encode() + b"\0") + 1


def _names_of(types: bytes | bytearray) -> Iterator[int]:
    """Where the number of a name is, of what may be renamed."""
    at = 0
    while at < len(types):
        _, info, _ = struct.unpack_from("<III", types, at)
        kind, parts = info >> 24 & 31, info & 0xFFFF
        once, each = _BEHIND.get(kind, (0, 0))
        if kind in {_STRUCT, _UNION, _ENUM, _ENUM64}:
            yield at
            yield from range(at + 12, at + 12 + each * parts, each)
        at += 12 + once + each * parts
