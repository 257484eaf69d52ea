# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the web server shows: the last snapshot, and how vmad itself is now."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from vmad.errors import ProcessGone
from vmad.export.metrics import Exposition
from vmad.scan.snapshot import HostSnapshot, SelfStats
from vmad.sources.source import Source


class DaemonContent:
    """The content of :mod:`vmad.web.router`. ``stats`` and ``source`` give the newest ones.

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
    ) -> None:
        self._stats = stats
        self._source = source
        self._proc = proc
        self._name = name
        self._others = others
        self._lock = threading.Lock()
        self._snapshot: HostSnapshot | None = None
        self._exposition = Exposition(stats, target=name)
        self._scan_json: bytes | None = None
        self._why_not: str | None = None

    def target(self, name: str) -> DaemonContent | None:
        """The content of a machine beside this one."""
        return self._others().get(name)

    def forget(self, why: str) -> None:
        """The machine cannot be read any more: what is known of it is old."""
        with self._lock:
            self._why_not = why
            self._snapshot = self._scan_json = None
            self._exposition = Exposition(self._stats, target=self._name)

    def show(self, snapshot: HostSnapshot) -> None:
        """This is the last complete scan from now on. For one thread alone."""
        exposition = Exposition(self._stats_now, snapshot, self._name)
        exposition.prepare(self._exposition)
        with self._lock:
            self._snapshot = snapshot
            self._exposition = exposition
            self._scan_json = self._why_not = None

    def _stats_now(self) -> SelfStats:
        snapshot = self._snapshot
        folded = 0 if snapshot is None else snapshot.self_stats.groups_folded
        return replace(self._stats(), groups_folded=folded)

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        """Before the first scan: vmad's own metrics alone."""
        with self._lock:
            exposition = self._exposition
        return exposition.render(openmetrics, gzip)

    def page(self) -> bytes:
        """The page at /."""
        from vmad.web.page import render_page  # noqa: PLC0415  only where somebody looks

        return render_page(
            self._snapshot, self._stats_now(), target=self._name, why_not=self._why_not
        )

    def scan_json(self) -> bytes | None:
        """The last scan, schema vmad.scan/1."""
        from vmad.export.scan_json import scan_document  # noqa: PLC0415

        with self._lock:
            snapshot = self._snapshot
            if self._scan_json is None and snapshot is not None:
                document = scan_document(
                    evidence=snapshot.evidence,
                    kernel=snapshot.kernel,
                    max_map_count=snapshot.max_map_count,
                    took_seconds=snapshot.took_seconds,
                    # who was only counted is among the unreadable
                    processes=[one for one in snapshot.processes if one.walked_at is not None],
                    unreadable=snapshot.unreadable,
                    groups=snapshot.groups,
                )
                self._scan_json = json.dumps(document).encode() + b"\n"
            return self._scan_json

    def explain_json(self, pid: int) -> bytes:
        """One process, walked now; schema vmad.explain/1."""
        from vmad.cli.target import find_process  # noqa: PLC0415
        from vmad.export.explain_json import explain_json  # noqa: PLC0415
        from vmad.scan.explain import explain  # noqa: PLC0415

        source = self._source()
        process = find_process(source, pid, self._proc)
        table = source.table(process)
        if len(table.rows) == 0:
            raise ProcessGone(f"process {pid} is gone")
        return "".join(explain_json(explain(table, source.kernel, source.max_map_count))).encode()

    def ready(self) -> str | None:
        """None once a scan is complete."""
        if self._snapshot is not None:
            return None
        return self._why_not or "the first scan is not complete yet"
