# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording as a pprof profile: gzip over protobuf, by hand, since it is a dozen fields.

Format: github.com/google/pprof, proto/profile.proto. One sample per maker, its value VMAs, its
label "reason" the cause; where children were followed, "process" whose they are.
"""

from __future__ import annotations

import gzip

from vmad.blame.blamed import Blamed
from vmad.blame.stack import Frame
from vmad.export.blame_stacks import NOBODY, cause_of, process_name
from vmad.export.printable import printable

_VARINT, _BYTES = 0, 2
_EVERYWHERE = 1 << 63


def pprof(blamed: Blamed) -> bytes:
    """The bytes of a .pb.gz file."""
    strings: dict[str, int] = {"": 0}
    functions: dict[tuple[str, str], int] = {}
    locations: dict[Frame, int] = {}
    mappings: dict[tuple[str, str], int] = {}
    unnamed: set[tuple[str, str]] = set()  #: pprof may find their symbols by the build-id

    def text(string: str) -> int:
        return strings.setdefault(string, len(strings))

    def function(name: str, file: str) -> int:
        return functions.setdefault((name, file), len(functions) + 1)

    def location(frame: Frame) -> int:
        return locations.setdefault(frame, len(locations) + 1)

    def label(key: str, value: str) -> bytes:
        return _message(3, _int(1, text(key)) + _int(2, text(value)))

    samples = []
    for process, maker in ((one, each) for one in blamed.everybody for each in one.makers):
        frames = [Frame(maker.call, None, 0)] if maker.call is not None else []
        frames += maker.stack.frames
        if maker.origin in NOBODY:
            frames = [Frame(NOBODY[maker.origin], None, 0)]
        samples.append(
            _packed(1, [location(frame) for frame in frames])
            + _packed(2, [maker.vmas])
            + label("reason", cause_of(maker))
            + (label("process", process_name(process)) if blamed.children else b"")
        )
    located = []
    for frame, number in locations.items():
        file, _, line = (frame.source or "").rpartition(":")
        name = function(printable(frame.name), file or frame.module or "")
        entry = _int(1, name) + (_int(2, int(line)) if line.isdecimal() else b"")
        where = b""
        if frame.module is not None:
            file_of = (frame.module, frame.build_id or "")
            if frame.function is None:
                unnamed.add(file_of)
            where = _int(2, mappings.setdefault(file_of, len(mappings) + 1))
        located.append(_int(1, number) + where + _int(3, frame.offset) + _message(4, entry))
    described = [
        _int(1, number) + _int(2, text(name)) + _int(3, text(name)) + _int(4, text(printable(file)))
        for (name, file), number in functions.items()
    ]
    # addresses are those of the files, not of memory: each file is mapped where it says
    mapped = [
        _int(1, number)
        + _int(3, _EVERYWHERE)
        + _int(5, text(printable(file)))
        + _int(6, text(build_id))
        + _int(7, (file, build_id) not in unnamed)
        for (file, build_id), number in mappings.items()
    ]
    kind = _int(1, text("VMAs")) + _int(2, text("count"))
    nanoseconds = int(blamed.seconds * 1e9)
    parts = [_message(1, kind)]
    parts += [_message(2, sample) for sample in samples]
    parts += [_message(3, entry) for entry in mapped]
    parts += [_message(4, entry) for entry in located]
    parts += [_message(5, entry) for entry in described]
    parts += [_field(6, _BYTES) + _sized(string.encode()) for string in strings]
    parts.append(_int(10, nanoseconds))
    return gzip.compress(b"".join(parts), mtime=0)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _field(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _int(number: int, value: int) -> bytes:
    return _field(number, _VARINT) + _varint(value)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _message(number: int, data: bytes) -> bytes:
    return _field(number, _BYTES) + _sized(data)


def _packed(number: int, values: list[int]) -> bytes:
    return _message(number, b"".join(map(_varint, values)))
