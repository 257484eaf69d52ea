# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Passwords are checked one at a time, and wrong ones only so often: bcrypt is slow on purpose."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto

from vmad.sources.cpu_time import cpu_seconds
from vmad.web.basic_auth import Users
from vmad.web.budget import Budget
from vmad.web.connection import Connection
from vmad.web.turns import Busy, Turns
from vmad.web.workers import Workers

#: wrong passwords in a row from one origin; then one each so many seconds
FAILURES, AGAIN = 10, 6.0
#: addresses remembered; the one that failed longest ago is forgotten first
_ORIGINS = 4096
#: seconds after a wrong password until its origin is again as good as any
_FORGIVEN = 3600.0
#: part of the budget for those who have failed lately; the rest is kept from them for those who
#: have not, who would else wait for ever behind whoever tries without a pause
_FOR_FAILED = 1 / 3
#: clients that wait for their turn, and for how many seconds
_WAITING, _PATIENCE = 8, 5.0


class Login(Enum):
    """How a login went."""

    RIGHT = auto()
    WRONG = auto()
    LATER = auto()  #: not looked at: too many wrong ones


class Failures:
    """Wrong passwords by origin: each has a bucket of :data:`FAILURES` that fills up again, and
    is ``known`` for them for an hour.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: how many failures each origin is charged with, and since when they fade
        self._charged: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, origin: str) -> float:
        """Seconds until this origin may try again; 0: now."""
        return max((self._of(origin) - (FAILURES - 1)) * AGAIN, 0.0)

    def known(self, origin: str) -> bool:
        """Whether wrong passwords have come from there lately."""
        _, since = self._charged.get(origin, (0.0, -_FORGIVEN))
        return self._clock() - since < _FORGIVEN

    def add(self, origin: str) -> None:
        """A wrong password came from there."""
        self._charged[origin] = (self._of(origin) + 1, self._clock())
        self._charged.move_to_end(origin)
        if len(self._charged) > _ORIGINS:
            self._charged.popitem(last=False)

    def _of(self, origin: str) -> float:
        number, since = self._charged.get(origin, (0.0, 0.0))
        return max(number - (self._clock() - since) / AGAIN, 0.0)


class Logins:
    """``share`` of one core is what checking may take. For one event loop."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._of_failed = Budget(share * _FOR_FAILED, clock)
        self._of_others = Budget(share * (1 - _FOR_FAILED), clock)
        self.budgets = (self._of_failed, self._of_others)
        self._failures = Failures(clock)
        self._turns = Turns(_WAITING, _PATIENCE)
        self._workers = Workers(1, "vmad-auth")

    async def check(self, users: Users, header: str | None, client: Connection) -> Login:
        """Whether the header names a user with the right password. Raises Left."""
        if users.remembered(header):
            return Login.RIGHT
        if not users.worth_checking(header):
            return Login.WRONG
        if self._wait(client) > 0:
            return Login.LATER
        try:
            async with self._turns.turn(client):
                # others of the same origin, or of the budget, may have failed meanwhile
                if self._wait(client) > 0:
                    return Login.LATER
                budget = self._budget(client)
                right = await self._workers.run(lambda: _verify(users, header, budget))
        except Busy:
            return Login.LATER
        if not right:
            self._failures.add(client.origin)
        return Login.RIGHT if right else Login.WRONG

    def retry_after(self, client: Connection) -> float:
        """Seconds after which another try may be looked at."""
        return max(self._wait(client), 1.0)

    def _wait(self, client: Connection) -> float:
        return max(self._failures.wait(client.origin), self._budget(client).wait())

    def _budget(self, client: Connection) -> Budget:
        return self._of_failed if self._failures.known(client.origin) else self._of_others


def _verify(users: Users, header: str | None, budget: Budget) -> bool:
    began = cpu_seconds()
    try:
        return users.verify(header)
    finally:
        budget.spend(cpu_seconds() - began)
