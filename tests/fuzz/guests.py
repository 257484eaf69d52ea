# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recorded guests without sockets, whose memory lies as a fuzzer wants it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.unit.guest import fake_qemu
from vmad.errors import TargetUnavailable
from vmad.model.process import ProcessId
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.kernel import Anchors, anchors_from_json
from vmad.sources.guest.physical import NotRam, PhysicalMemory, Range, _ram
from vmad.sources.guest.qmp import Monitor

_RECORDINGS = Path(fake_qemu.__file__).parent / "recordings"
#: what is done, to which word, with what number
_CHANGE = struct.Struct("<BIQ")
_ALL = (1 << 64) - 1
#: bytes of one reading
_MOST = 1 << 24


class _Known(AnchorCache):
    """What a kernel is, without a file."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = [anchors]

    def __iter__(self) -> Any:
        return iter(self._anchors)

    def add(self, anchors: Anchors) -> None:
        """Is known."""


class _Monitor(Monitor):
    """Answers as QEMU did."""

    def __init__(self, path: str, registers: str) -> None:
        self.path = path
        self._registers = registers
        self._closed = False

    def told(self, command: str, key: str, kind: type[Any], send: int | None = None) -> Any:
        return {"status": "running", "arch": "x86_64"}[key]

    def human(self, line: str) -> str:
        return self._registers

    def take_events(self) -> list[tuple[str, float]]:
        return []

    def peer(self) -> int:
        return 0

    def close(self) -> None:
        self._closed = True


class _Memory(PhysicalMemory):
    """Recorded pages, some of them changed."""

    def __init__(self, ram: list[Range], pages: dict[int, bytearray]) -> None:
        self.ram = ram
        self._pages = pages
        self._direct = None
        self._files, self._names = [], []

    def try_direct(self, known: int) -> None:
        """There is nothing to be direct with."""

    def read_all(self, ranges: Sequence[Range]) -> bytearray:
        if sum(extent.size for extent in ranges) > _MOST:  # a recording has no image
            raise TargetUnavailable("too much at once")
        return super().read_all(ranges)

    def read_into(self, ranges: Sequence[Range], view: memoryview) -> None:
        at = 0
        for extent in ranges:
            if not self.is_ram(extent.start, extent.size):
                raise NotRam(f"{extent.start:#x}")
            start = extent.start
            while start < extent.end:
                size = min(extent.end, (start | 4095) + 1) - start
                page = self._pages.get(start >> 12)
                if page is not None:
                    view[at : at + size] = page[start & 4095 :][:size]
                at, start = at + size, start + size


@dataclass(frozen=True)
class RecordedGuest:
    """One of tests/unit/guest/recordings."""

    pages: dict[int, bytearray]
    places: list[int]
    ram: list[Range]
    registers: str
    cache: AnchorCache
    processes: list[ProcessId]

    def monitor(self, path: str) -> Monitor:
        """In place of a connection."""
        return _Monitor(path, self.registers)

    def changed(self, content: bytes) -> Callable[[Monitor], PhysicalMemory]:
        """Its memory after these changes; see ``parsers.guest_memory``."""
        pages = dict(self.pages)
        mine: set[int] = set()
        whole = (len(content) - 1) // _CHANGE.size * _CHANGE.size
        for what, which, number in _CHANGE.iter_unpack(content[1 : 1 + max(whole, 0)]):
            place = self.places[which % len(self.places)]
            if place >> 12 not in mine:
                mine.add(place >> 12)
                pages[place >> 12] = bytearray(pages[place >> 12])
            page, at = pages[place >> 12], place & 4095
            word = int.from_bytes(page[at : at + 8], "little")
            match what % 4:
                case 0:
                    word = number
                case 1:
                    word ^= number
                case 2:
                    other = self.places[number % len(self.places)]
                    word = int.from_bytes(pages[other >> 12][other & 4095 :][:8], "little")
                case _:
                    word = word + number & _ALL
            page[at : at + 8] = word.to_bytes(8, "little")
        return lambda _: _Memory(self.ram, pages)


@lru_cache(maxsize=1)
def recorded_guests() -> tuple[RecordedGuest, ...]:
    """All of them, oldest kernel first."""
    found = []
    for path in sorted(_RECORDINGS.glob("*.npz")):
        memory, human, meta, arrays = fake_qemu.recorded(path)
        found.append(
            RecordedGuest(
                memory.pages,
                [int(place) for place in arrays["places"]],
                _ram(human["info mtree -f"]),
                human["info registers"],
                _Known(anchors_from_json(meta["anchors"])),
                [ProcessId(*one["id"]) for one in meta["processes"]],
            )
        )
    return tuple(found)
