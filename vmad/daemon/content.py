# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the web server shows: the last snapshot, and how vmad itself is now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vmad.errors import CannotRead
from vmad.export.metrics.exposition import Exposition
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats
from vmad.sources.source import Source
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import Timeline
from vmad.web.viewer import Viewer

if TYPE_CHECKING:
    from vmad.daemon.documents import Documents


#: seconds that a page serves whoever asks for it
PAGE_SERVES = 1.0


class _Page(NamedTuple):
    at: float  #: monotonic seconds
    of: HostSnapshot
    page: bytes


class DaemonContent:
    """The content of :mod:`vmad.web.router`. ``stats`` and ``source`` give the newest ones,
    ``recount`` the last scan with newer counts, None where there are none, ``timeline`` what was
    before.

    ``name`` is that of a machine that is watched beside this one, None for this one; ``others``
    are the machines beside it by name.
    """

    def __init__(
        self,
        stats: Callable[[], SelfStats],
        source: Callable[[], Source],
        proc: str = "/proc",
        *,
        name: str | None = None,
        others: Callable[[], Mapping[str, DaemonContent]] = dict,
        recount: Callable[[], HostSnapshot | None] = lambda: None,
        timeline: Callable[[], Timeline | None] = lambda: None,
    ) -> None:
        self._timeline = timeline
        self._stats = stats
        self._recount = recount
        self._source = source
        self._proc = proc
        self._name = name
        self._others = others
        self._lock = threading.Lock()
        self._snapshot: HostSnapshot | None = None
        self._exposition = Exposition(stats, target=name)
        self._why_not: str | None = None
        self._rendering = threading.Lock()
        self._page: _Page | None = None
        self._made_documents: Documents | None = None
        #: moves when metrics that were rendered before are wrong
        self.edition = 0

    def target(self, name: str) -> DaemonContent | None:
        """The content of a machine beside this one."""
        return self._others().get(name)

    def forget(self, why: str) -> None:
        """The machine cannot be read any more: what is known of it is old."""
        with self._lock:
            self._why_not = why
            self._snapshot = self._page = None
            self._exposition = Exposition(self._stats, target=self._name)
            self.edition += 1

    def show(self, snapshot: HostSnapshot) -> None:
        """This is the last complete scan from now on. For one thread alone."""
        exposition = Exposition(self._stats, snapshot, self._name)
        exposition.prepare(self._exposition)
        with self._lock:
            self._snapshot = snapshot
            self._exposition = exposition
            self._why_not = None
            self.edition += 1

    def _now(self) -> HostSnapshot | None:
        """The last scan with the counts of this second; None before the first.

        Whoever looks pays for it, once a second at most: samples do.
        """
        if self._snapshot is None:
            return None
        newer = self._recount()
        if newer is not None:
            with self._lock:
                before = self._snapshot
                # a scan may have come in between, or the machine have gone
                if before is not None and newer.taken_at >= before.taken_at:
                    exposition = Exposition(self._stats, newer, self._name)
                    exposition.follow(self._exposition)
                    self._snapshot, self._exposition = newer, exposition
        return self._snapshot

    def renew(self) -> None:
        """Something changed that the next scrape must show."""
        with self._lock:
            self.edition += 1

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        """Before the first scan: vmad's own metrics alone."""
        self._now()
        with self._lock:
            exposition = self._exposition
        return exposition.render(openmetrics, gzip)

    def page(self) -> bytes:
        """The page at /: of this second, however many look."""
        documents = self._documents()
        with self._rendering:
            snapshot, kept = self._now(), self._page
            at = time.monotonic()
            if kept is not None and kept.of is snapshot and at - kept.at < PAGE_SERVES:
                return kept.page
            page = documents.page(snapshot, self._stats(), self._why_not, self._timeline())
            self._page = None if snapshot is None else _Page(at, snapshot, page)
            return page

    def scan_json(self) -> Iterator[str] | None:
        """The last scan in pieces, schema vmad.scan/1."""
        snapshot = self._now()
        return None if snapshot is None else self._documents().scan(snapshot, self._stats())

    def failures_json(self) -> bytes | None:
        """Failures at the limit, schema vmad.failures/1; None where they are not counted."""
        return self._documents().failures(self._stats())

    def daemon_json(self) -> bytes:
        """How vmad does itself, schema vmad.daemon/1."""
        return self._documents().daemon(self._stats(), self._snapshot)

    def bursts_json(self) -> bytes | None:
        """Bursts that are over, schema vmad.bursts/1; None before the first scan."""
        snapshot = self._now()
        return None if snapshot is None else self._documents().bursts(snapshot)

    def history_page(self, selection: Selection) -> bytes:
        """The page at /history."""
        return self._documents().history_page(self._timeline(), selection, self._now())

    def history_json(self, selection: Selection) -> Iterator[str]:
        """What was, in pieces, schema vmad.history/1."""
        return self._documents().history(self._timeline(), selection)

    def blame_page(self, viewer: Viewer) -> bytes | None:
        """The last recording that was made for it."""
        return self._documents().blame_page(viewer.trusted)

    def explain_json(self, pid: int, viewer: Viewer, pairs: bool) -> Iterator[str]:
        """One process, walked now, in pieces; schema vmad.explain/1."""
        check = partial(self._check, viewer, pid)
        return self._documents().explanation(pid, check if pairs else None)

    def process_page(self, pid: int, viewer: Viewer) -> bytes:
        """The page of one process, read now."""
        return self._documents().process_pages.page(pid, self._may_see(viewer, pid))

    def process_map(self, pid: int, viewer: Viewer) -> bytes:
        """Its picture: that of its page, where it was asked for just now."""
        return self._documents().process_pages.picture(pid, self._may_see(viewer, pid))

    def _documents(self) -> Documents:
        from vmad.daemon.documents import Documents  # noqa: PLC0415  only where somebody looks

        with self._lock:
            if self._made_documents is None:
                self._made_documents = Documents(
                    self._source,
                    lambda: (self._now(), self._stats()),
                    self._proc,
                    self._name,
                    self._timeline,
                )
            return self._made_documents

    def _may_see(self, viewer: Viewer, pid: int) -> bool:
        try:
            self._check(viewer, pid)
        except CannotRead:
            return False
        return True

    def _check(self, viewer: Viewer, pid: int) -> None:
        """Raises CannotRead where ``viewer`` may not see the addresses of this process."""
        # the users of a guest are not those of this host
        here = self._name is None
        if not (viewer.may_read_maps(pid, self._proc) if here else viewer.trusted):
            raise CannotRead(
                f"pairs of process {pid}: its addresses are for those who may read its maps",
                "ask as root or its owner at a Unix socket (web.listen: unix:PATH), with a "
                "password (--web.config.file), or run vmad explain",
            )

    def ready(self) -> str | None:
        """None once a scan is complete."""
        if self._snapshot is not None:
            return None
        return self._why_not or "the first scan is not complete yet"
