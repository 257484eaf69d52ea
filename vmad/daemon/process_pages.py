# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One process read now, for its page and its picture: both show the same moment."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vmad.advice.recognise import TellingSymbols
from vmad.errors import ProcessGone
from vmad.export.picture.picture import picture_of
from vmad.model.process import ProcessId
from vmad.rules.other_limits import other_bounds
from vmad.scan.explain import Explanation, explain
from vmad.scan.growth import Watched
from vmad.scan.host_limits import HostLimits
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats
from vmad.sources.host_limits import limit_origin_of
from vmad.sources.names import named_or_not
from vmad.sources.other_limits import read_other_use
from vmad.sources.source import Source
from vmad.sources.traits import read_traits
from vmad.timeline.selection import USUAL
from vmad.timeline.timeline import Timeline
from vmad.web.pages.history import past_of_process
from vmad.web.pages.past import Past
from vmad.web.pages.process import render_process
from vmad.web.pages.process_view import ProcessView

#: seconds that a picture waits for the page that asks for it
KEPT_SECONDS = 20.0
#: pictures that wait at a time
KEPT = 4


@dataclass(frozen=True, slots=True)
class _Kept:
    pid: int
    addresses: bool
    at: float
    picture: bytes


class ProcessPages:
    """``known`` gives the last snapshot and how vmad does, ``timeline`` what was; ``name`` is that
    of a guest.

    From any thread; raises what reading raises.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        known: Callable[[], tuple[HostSnapshot | None, SelfStats]],
        proc: str = "/proc",
        name: str | None = None,
        timeline: Callable[[], Timeline | None] = lambda: None,
    ) -> None:
        self._timeline = timeline
        self._source = source
        self._known = known
        self._proc = proc
        self._name = name
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def page(self, pid: int, addresses: bool) -> bytes:
        """The page; its picture is kept for when the page asks for it."""
        explanation = self._explained(pid)
        picture = picture_of(explanation, addresses=addresses).encoded()
        page = render_process(self._view(explanation, addresses))
        kept = _Kept(pid, addresses, time.monotonic(), picture)
        with self._lock:
            self._kept = [kept, *self._fresh()][:KEPT]
        return page

    def picture(self, pid: int, addresses: bool) -> bytes:
        """Bytes of a picture: that of the page just given, or a new one."""
        with self._lock:
            fresh = self._fresh()
            kept = next((o for o in fresh if (o.pid, o.addresses) == (pid, addresses)), None)
            self._kept = [old for old in fresh if old is not kept]
        if kept is not None:
            return kept.picture
        return picture_of(self._explained(pid), addresses=addresses).encoded()

    def _fresh(self) -> list[_Kept]:
        return [old for old in self._kept if time.monotonic() - old.at < KEPT_SECONDS]

    def _explained(self, pid: int) -> Explanation:
        source = self._source()
        table = source.table(source.find(pid))
        if not len(table.rows):
            raise ProcessGone(f"process {pid} is gone")
        traits = None
        if self._name is None:  # its files can be reached: it runs here
            if not table.paths:
                table = named_or_not(table, self._proc)
            traits = read_traits(table, TellingSymbols(), self._proc)
        return explain(table, source.kernel, source.max_map_count, traits=traits)

    def _view(self, explanation: Explanation, addresses: bool) -> ProcessView:
        source, process = self._source(), explanation.table.id
        snapshot, stats = self._known()
        limits = HostLimits(source.vma_cost, limit_origin_of(source))
        if self._name is None:
            tally = stats.machine.limit_failures
            limits = HostLimits(
                limits.cost,
                limits.origin,
                other_bounds(read_other_use(process.pid)),
                *((None, None) if tally is None else (tally.of(process), tally.watched_since)),
            )
        seen = None if snapshot is None else _seen(snapshot, explanation)
        return ProcessView(
            explanation,
            self._name or socket.gethostname(),
            time.time(),
            limits,
            seen,
            names=addresses,
            addresses=addresses,
            query="" if self._name is None else f"?target={self._name}",
            past=self._past(process),
        )

    def _past(self, process: ProcessId) -> Past | None:
        timeline = self._timeline()
        return None if timeline is None else past_of_process(timeline, *process, USUAL, time.time())


def _seen(snapshot: HostSnapshot, explanation: Explanation) -> Watched | None:
    """What the last scan has of this process."""
    for process in snapshot.processes:
        if process.id == explanation.table.id:
            return Watched(
                process.high_water, process.rate, process.group, process.seconds_to_limit
            )
    return None
