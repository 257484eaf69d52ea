# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a request to its response: who may ask, what it may cost, and one large answer at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from vmad.errors import told
from vmad.sources.cpu_time import cpu_seconds
from vmad.sources.giving_back import give_back
from vmad.threads import NoThread
from vmad.web import router
from vmad.web.budget import ANSWERS, CONNECTIONS, LOGINS, Budget
from vmad.web.connection import Connection
from vmad.web.kept import Format, KeptExpositions
from vmad.web.lanes import LANES
from vmad.web.logins import Login, Logins
from vmad.web.request import Request
from vmad.web.router import Content, Response
from vmad.web.same_site import OPEN_PATHS, SameSite
from vmad.web.turns import Busy, Turns
from vmad.web.web_config import WebSettings
from vmad.web.workers import Workers

_log = logging.getLogger(__name__)

T = TypeVar("T")

_INTERNAL = "internal error; see vmad's log"
#: why a request is refused: its Host or Origin, its password, or what all clients cost
REFUSALS = ("site", "login", "budget")
#: clients that wait for a large answer, and for how many seconds
_WAITING, _PATIENCE = 4, 5.0
_PACKAGE = str(Path(__file__).parents[1])
_REPLACED = "a part of vmad cannot be loaded: it was upgraded or removed; restart the daemon"
#: seconds between two lines of the log on a shortage of threads or memory
_TELL_EVERY = 60.0


class Answers:
    """``share`` of one core is what all work for clients may take. For one event loop."""

    def __init__(
        self, content: Content, same_site: SameSite, share: float, anybody: str = "processes"
    ) -> None:
        self._content = content
        self._anybody = anybody
        self._same_site = same_site
        self._share = share
        #: of the event loop: it accepts, reads and writes
        self.loop_budget = Budget(share * CONNECTIONS)
        self._budget = Budget(share * ANSWERS)
        self._logins = Logins(share * LOGINS)
        self._budgets = (self.loop_budget, self._budget, *self._logins.budgets)
        self._kept = KeptExpositions()
        self._workers = Workers(2, "vmad-web")
        self._large_workers = Workers(1, "vmad-large")
        self._turns = Turns(_WAITING, _PATIENCE)
        self._renewal: asyncio.Future[bytes | None] | None = None  #: kept from being collected
        self.refused = dict.fromkeys(REFUSALS, 0)
        self._tell_again = 0.0  #: when the log may be told of a shortage again

    def lane_budget(self) -> Budget:
        """What one of the lanes may spend whatever the others do: its even share of the loop's."""
        return Budget(self._share * CONNECTIONS / LANES)

    def loop_rest(self, cpu_seconds: float) -> float:
        """The event loop spent so much; seconds that it is to rest now.

        Where it has nothing left pages and JSON are put off: what they may cost is its own then.
        """
        self.loop_budget.spend(cpu_seconds)
        if self.loop_budget.wait() > 0:
            self.loop_budget.borrow(self._budget)
        return self.loop_budget.wait()

    def prepare(self) -> None:
        """Have what a scrape needs, whatever the machine is short of later. Raises NoThread."""
        self._workers.prepare()

    @property
    def cpu_seconds(self) -> float:
        """What clients have cost so far."""
        return sum(budget.spent for budget in self._budgets)

    def at_hand(
        self, request: Request, settings: WebSettings, client: Connection, crowded: bool
    ) -> Response | None:
        """The response where nothing is computed for it: most scrapes, and what is put off.

        One that is a little old will do, and any where it is ``crowded``: a new one is then made
        for the next.
        """
        if request.method != "GET" or request.has_body:
            return None
        if request.path != router.METRICS:
            return self._put_off_at_once(request)
        users = settings.users
        header = request.headers.get("authorization")
        if users is not None and not client.root and not users.remembered(header):
            return None
        content = router.content_of(request, self._content)
        if isinstance(content, Response) or self._foreign(request, client) is not None:
            return None
        form = _format(request)
        body = self._kept.find(form, content.edition) or self._kept.find_stand_in(form)
        if body is None:
            due = self._kept.find_due(form, content.edition)
            body = self._kept.find_old(form) if crowded else due
            if body is not None:
                self._renewal = asyncio.ensure_future(self._metrics(form, content))
        if body is None:
            return None
        return router.metrics_response(form.openmetrics, form.gzip, body)

    @asynccontextmanager
    async def answer(
        self, request: Request, settings: WebSettings, client: Connection, crowded: bool
    ) -> AsyncIterator[Response]:
        """The response; a large one holds the turn until the block that writes it ends.

        Where it is ``crowded``, what needs work is put off. Raises Left.
        """
        at_hand = self.at_hand(request, settings, client, crowded)
        if at_hand is not None:
            yield at_hand
            return
        if crowded and request.path not in OPEN_PATHS:
            yield self._put_off(request, 1)
            return
        refusal = self._refusal(request, client) or await self._login(request, settings, client)
        content = router.content_of(request, self._content)
        if refusal is not None:
            yield refusal
        elif isinstance(content, Response):
            yield content
        elif router.is_large(request) and self._led_by_another(request, client):
            self.refused["site"] += 1
            yield router.detour(request)
        elif not router.is_large(request):
            yield await self._small(request, content, client)
        elif (wait := self._budget.wait()) > 0:
            yield self._put_off(request, wait)
        else:
            try:
                async with self._turns.turn(client):
                    response = await self._responded(self._large_workers, request, content, client)
                    pieces = response.pieces
                    try:
                        if pieces is None:
                            yield response
                        else:
                            yield replace(response, pieces=None, stream=self._stream(pieces))
                    finally:
                        with suppress(NoThread):  # then there are no pieces to end
                            await self._on(
                                self._large_workers, self._budget, lambda: _ended(pieces)
                            )
            except Busy:
                yield self._put_off(request, _PATIENCE)

    def _foreign(self, request: Request, client: Connection) -> tuple[int, str] | None:
        # no browser speaks by a Unix socket
        return None if client.of_this_host else self._same_site.refusal(request)

    def _led_by_another(self, request: Request, client: Connection) -> bool:
        return not client.of_this_host and self._same_site.led_by_another(request)

    def _refusal(self, request: Request, client: Connection) -> Response | None:
        refused = self._foreign(request, client)
        if refused is not None:
            self.refused["site"] += 1
            return router.error(request.path, *refused)
        return None

    async def _login(
        self, request: Request, settings: WebSettings, client: Connection
    ) -> Response | None:
        """None when it may ask; then the client's viewer is who it is."""
        if settings.users is None or client.root:
            return self._shown_to_anybody(request, client) or router.refuse(request)
        header = request.headers.get("authorization")
        login = await self._logins.check(settings.users, header, client)
        if login is Login.RIGHT:
            client.viewer = replace(client.viewer, trusted=True)
            return router.refuse(request)
        self.refused["login"] += 1
        if login is Login.LATER:
            wait = str(math.ceil(self._logins.retry_after(client)))
            return router.error(request.path, 429, "too many failed logins", Retry_After=wait)
        challenge = 'Basic realm="vmad", charset="UTF-8"'
        return router.error(request.path, 401, "unauthorized", WWW_Authenticate=challenge)

    def _shown_to_anybody(self, request: Request, client: Connection) -> Response | None:
        """web.anybody: what those see who are asked for no password."""
        if self._anybody == "addresses":
            client.viewer = replace(client.viewer, trusted=True)
        if self._anybody != "metrics" or client.viewer.trusted or request.path in OPEN_PATHS:
            return None
        self.refused["login"] += 1
        text = (
            "only metrics are for anybody here (web.anybody): ask as root at a Unix socket "
            "(web.listen: unix:PATH) or with a password (--web.config.file)"
        )
        return router.error(request.path, 403, text)

    async def _small(self, request: Request, content: Content, client: Connection) -> Response:
        if request.path == router.METRICS:
            form = _format(request)
            body = await self._metrics(form, content)
            if body is None:
                return router.error(request.path, 500, _INTERNAL)
            return router.metrics_response(form.openmetrics, form.gzip, body)
        if request.path in (router.HEALTHY, router.READY):
            return router.respond(request, content)
        wait = self._budget.wait()
        if wait > 0:
            return self._put_off(request, wait)
        return await self._responded(self._workers, request, content, client)

    async def _metrics(self, form: Format, content: Content) -> bytes | None:
        """A fresh rendering; None when there is none to be had."""

        async def make() -> bytes:
            return await self._on(
                self._workers, self._budget, lambda: content.metrics(form.openmetrics, form.gzip)
            )

        try:
            return await self._kept.get(form, content.edition, make)
        except (NoThread, MemoryError) as error:
            self._tell_short(error)
            return None
        except Exception:
            _log.exception("cannot render %s", form)
            return None

    async def _stream(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Raises ConnectionAbortedError: the client sees that the answer has no end."""
        while True:
            try:
                piece = await self._on(
                    self._large_workers, self._budget, lambda: next(pieces, None)
                )
            except Exception as error:
                _log.exception("an answer broke off")
                raise ConnectionAbortedError from error
            if piece is None:
                return
            yield piece

    async def _responded(
        self, workers: Workers, request: Request, content: Content, client: Connection
    ) -> Response:
        try:
            return await self._on(
                workers, self._budget, lambda: router.respond(request, content, client.viewer)
            )
        except (NoThread, MemoryError) as error:
            self._tell_short(error)
            text = f"{told(error)}; try again later"
            return router.error(request.path, 503, text, Retry_After="1")
        except Exception as error:
            if _is_a_part_of_us(error):
                self._tell_short(error)
                return router.error(request.path, 503, _REPLACED)
            return self._failed(request)

    def _failed(self, request: Request) -> Response:
        # the server outlives whatever goes wrong in one answer; the log has the traceback
        _log.exception("cannot answer %s %s", request.method, ascii(request.path))
        return router.error(request.path, 500, _INTERNAL)

    def _tell_short(self, error: BaseException) -> None:
        """Once a minute: requests may be many."""
        now = time.monotonic()
        if now > self._tell_again:
            _log.error("requests cannot be answered: %s", told(error))
            self._tell_again = now + _TELL_EVERY

    def _put_off_at_once(self, request: Request) -> Response | None:
        """Nobody is asked for a password first: what is put off is to cost as little as it can."""
        if request.path in OPEN_PATHS:
            return None
        wait = self._budget.wait()
        if wait == 0 and self.loop_budget.scarce:
            wait = 1.0
        return self._put_off(request, wait) if wait > 0 else None

    def _put_off(self, request: Request, wait: float) -> Response:
        self.refused["budget"] += 1
        seconds = str(max(math.ceil(wait), 1))
        text = f"clients ask for more than web.budget allows; try again in {seconds} s"
        # a browser does so by itself: who looks is not left with this line
        return router.error(request.path, 503, text, Retry_After=seconds, Refresh=seconds)

    async def _on(self, workers: Workers, budget: Budget, job: Callable[[], T]) -> T:
        """What ``job`` returns, its CPU time put down to the budget."""

        def run() -> T:
            began = cpu_seconds()
            try:
                return job()
            finally:
                budget.spend(cpu_seconds() - began)

        return await workers.run(run)


def _ended(pieces: Iterator[bytes] | None) -> None:
    """Let go of what is left of a large answer."""
    if isinstance(pieces, Generator):
        pieces.close()
    give_back()


def _is_a_part_of_us(error: Exception) -> bool:
    """Whether a module or file of vmad was not there: those that few answers need are loaded for
    the first that does.
    """
    if isinstance(error, FileNotFoundError):
        return str(error.filename).startswith(_PACKAGE)
    return isinstance(error, ImportError)


def _format(request: Request) -> Format:
    return Format(request.asked("target"), request.accepts_openmetrics, request.accepts_gzip)
