# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pages and JSON of one machine, made where somebody asks for them.

A daemon that is scraped and nothing else never imports this module, nor what it takes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from vmad.advice.recognise import TellingSymbols
from vmad.blame.last import place
from vmad.daemon.process_pages import ProcessPages
from vmad.daemon.recordings import Recordings
from vmad.errors import ProcessGone
from vmad.export.bursts_json import bursts_document
from vmad.export.daemon_json import daemon_document
from vmad.export.explain_json import explain_json
from vmad.export.failures_json import failures_document
from vmad.export.history_json import history_pieces
from vmad.export.scan_json import scan_pieces
from vmad.scan.bursts import bursts_of
from vmad.scan.explain import explain
from vmad.scan.host_limits import HostLimits
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats
from vmad.sources.host_limits import limit_origin_of
from vmad.sources.names import named_or_not
from vmad.sources.source import Source
from vmad.sources.traits import read_traits
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import Timeline
from vmad.web.pages.front import render_page
from vmad.web.pages.history import render_history


class Documents:
    """``source`` and ``now`` give the newest ones, ``timeline`` what was before.

    ``name`` is that of a machine beside this one.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        now: Callable[[], tuple[HostSnapshot | None, SelfStats]],
        proc: str,
        name: str | None,
        timeline: Callable[[], Timeline | None],
    ) -> None:
        self._source = source
        self._proc = proc
        self._name = name
        #: the page of a process, and its picture
        self.process_pages = ProcessPages(source, now, proc, name, timeline)
        self._recordings = Recordings(place()) if name is None else None

    def page(
        self,
        snapshot: HostSnapshot | None,
        stats: SelfStats,
        why_not: str | None,
        timeline: Timeline | None,
    ) -> bytes:
        """The page at /."""
        return render_page(snapshot, stats, target=self._name, why_not=why_not, timeline=timeline)

    def scan(self, snapshot: HostSnapshot, stats: SelfStats) -> Iterator[str]:
        """In pieces."""
        return scan_pieces(
            evidence=snapshot.evidence,
            kernel=snapshot.kernel,
            max_map_count=snapshot.max_map_count,
            taken_at=snapshot.taken_at,
            counted_at=snapshot.counted_at,
            took_seconds=snapshot.took_seconds,
            # who was only counted is among the unreadable
            processes=(process for process in snapshot.processes if process.walked_at is not None),
            unreadable=snapshot.unreadable,
            groups=snapshot.groups,
            failures=stats.machine.limit_failures,
            origin=limit_origin_of(self._source()),
            phases=snapshot.phases,
        )

    def failures(self, stats: SelfStats) -> bytes | None:
        """None where they are not counted."""
        tally = stats.machine.limit_failures
        return None if tally is None else _line(failures_document(tally))

    def daemon(self, stats: SelfStats, snapshot: HostSnapshot | None) -> bytes:
        """How vmad does itself."""
        return _line(daemon_document(stats, snapshot))

    def bursts(self, snapshot: HostSnapshot) -> bytes:
        """Those that are over."""
        return _line(bursts_document(bursts_of(snapshot.groups, snapshot.max_map_count)))

    def history_page(
        self, timeline: Timeline | None, selection: Selection, snapshot: HostSnapshot | None
    ) -> bytes:
        """The page at /history."""
        query = "" if self._name is None else f"?target={self._name}"
        return render_history(timeline or Timeline(), selection, snapshot, time.time(), query)

    def history(self, timeline: Timeline | None, selection: Selection) -> Iterator[str]:
        """In pieces."""
        return history_pieces(Timeline() if timeline is None else timeline, selection, time.time())

    def blame_page(self, whole: bool) -> bytes | None:
        """The last recording; without names unless ``whole``. Recordings are of this machine."""
        return None if self._recordings is None else self._recordings.page(whole)

    def explanation(self, pid: int, check: Callable[[], None] | None) -> Iterator[str]:
        """One process, walked now, in pieces. With ``check`` its pairs, too: it raises CannotRead
        where these must not be shown.
        """
        source = self._source()
        process = source.find(pid)
        if check is not None:
            check()
        table = source.table(process)
        if len(table.rows) == 0:
            raise ProcessGone(f"process {pid} is gone")
        if check is not None:  # it may have executed a setuid program in between
            check()
        traits = None
        if self._name is None:  # its files can be reached: it runs here
            table = named_or_not(table, self._proc)
            traits = read_traits(table, TellingSymbols(), self._proc)
        return explain_json(
            explain(table, source.kernel, source.max_map_count, traits=traits),
            limits=HostLimits(source.vma_cost, limit_origin_of(source)),
            pairs=check is not None,
        )


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"
