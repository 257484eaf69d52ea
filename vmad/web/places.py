# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The places of a server that no client can fill: who has one, and who gives way to a newcomer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from vmad.web.connection import SILENT, STALLED, Connection, Phase

#: seconds between two looks for room, and how many there are: a second of them
_PAUSE = SILENT / 4
_LOOKS = round(STALLED / _PAUSE)
#: part of the connections that may be taken by answers that need work
_FOR_DEAR_ONES = 0.75


class Places:
    """``number`` of them. Of the event loop alone."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._taken: dict[Connection, None] = {}

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._taken)

    @property
    def full(self) -> bool:
        """Whether the next one needs somebody else's."""
        return len(self._taken) >= self._number

    def take(self, connection: Connection) -> None:
        """Give it one."""
        self._taken[connection] = None

    def leave(self, connection: Connection) -> None:
        """It is over; somebody else may have had its place already."""
        self._taken.pop(connection, None)

    async def room(self) -> bool:
        """Make room, with a little patience: nobody has kept still when they all came at once.

        Patience is counted in looks: where the machine gives the loop no time, clients have had
        none to move either.
        """
        for _ in range(_LOOKS):
            if not self.full or self._make_room():
                return True
            await asyncio.sleep(_PAUSE)
        return False

    def crowded(self) -> bool:
        """Whether so many are being answered that the rest is kept for what costs little."""
        busy = sum(
            connection.phase in (Phase.ANSWERING, Phase.WRITING) for connection in self._taken
        )
        if busy < self._number * _FOR_DEAR_ONES:
            return False
        return not self._drop_one_of(Phase.WRITING)

    def _make_room(self) -> bool:
        """Close one that keeps still, of who has most of them; False when all are at work."""
        return any(map(self._drop_one_of, (Phase.LEAVING, Phase.READING, Phase.WRITING)))

    def _drop_one_of(self, phase: Phase) -> bool:
        held = Counter(connection.origin for connection in self._taken)
        even = self._number / len(held) if held else 0.0

        def in_turn(connection: Connection) -> tuple[int, float]:
            # who has most of them first, of theirs the one that has kept still longest
            return -held[connection.origin], connection.since

        for connection in sorted(self._taken, key=in_turn):
            # a scraper that is alone among many of others may be slow for a moment: the machine is
            after = SILENT if held[connection.origin] >= even else STALLED
            if connection.phase is phase and (
                phase is Phase.LEAVING or connection.gives_way(after)
            ):
                del self._taken[connection]
                connection.drop()
                return True
        return False
