# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The expositions as they were rendered last: made once a second at most, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

#: seconds that a rendering serves, unless a scan or a reload comes in between
FRESH = 1.0
#: seconds after those in which it serves once more while the next one is made: whoever asks again
#: and again never waits, and whoever asks less often gets a fresh one
DUE = 1.0
#: seconds after its making that it still serves those who come while the next one is being made:
#: they would wait for it all at once, and be answered all at once
STAND_IN = 15.0
#: seconds that the next one is waited for where there is one to stand in
PATIENCE = 0.05


class Format(NamedTuple):
    """Which rendering: of which machine (None: this one), and how."""

    target: str | None
    openmetrics: bool
    gzip: bool


class _Kept(NamedTuple):
    until: float
    edition: int
    body: bytes


class KeptExpositions:
    """Renderings by format; several requests for the same one share its making. For one loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Format, _Kept] = {}
        self._making: dict[tuple[Format, int], asyncio.Future[bytes]] = {}

    def find(self, wanted: Format, edition: int) -> bytes | None:
        """A rendering that is fresh, or None. ``edition`` moves when an old one is wrong."""
        kept = self._kept.get(wanted)
        if kept is None or kept.edition != edition or kept.until < self._clock():
            return None
        return kept.body

    def find_due(self, wanted: Format, edition: int) -> bytes | None:
        """The last rendering where it is about time for the next one, which is to be made then."""
        kept = self._kept.get(wanted)
        if kept is None or kept.edition != edition or kept.until + DUE < self._clock():
            return None
        return kept.body

    def find_stand_in(self, wanted: Format) -> bytes | None:
        """The last rendering where the next one is being made, if it is not too old; else None.

        Whoever was answered with the next one never gets an older one.
        """
        kept = self._kept.get(wanted)
        if kept is None or wanted not in (form for form, _ in self._making):
            return None
        return kept.body if self._clock() < kept.until - FRESH + STAND_IN else None

    def find_old(self, wanted: Format) -> bytes | None:
        """The last rendering, however old, or None."""
        kept = self._kept.get(wanted)
        return None if kept is None else kept.body

    async def get(
        self, wanted: Format, edition: int, make: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """A fresh rendering, made by ``make`` where there is none; one that stands in where that
        takes long.
        """
        kept = self.find(wanted, edition)
        if kept is not None:
            return kept
        key = wanted, edition
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.ensure_future(make())
            making.add_done_callback(lambda made: self._made(key, made))
        if self.find_stand_in(wanted) is not None:
            await asyncio.wait((making,), timeout=PATIENCE)
            stand_in = None if making.done() else self.find_stand_in(wanted)
            if stand_in is not None:
                return stand_in
        # whoever asked first may leave: the others still wait for it
        return await asyncio.shield(making)

    def _made(self, key: tuple[Format, int], made: asyncio.Future[bytes]) -> None:
        del self._making[key]
        if not made.cancelled() and made.exception() is None:
            wanted, edition = key
            self._kept[wanted] = _Kept(self._clock() + FRESH, edition, made.result())
