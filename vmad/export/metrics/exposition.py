# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The bytes of /metrics: what a scan found is rendered at most once per scan and format.

A format that nobody asks for is never rendered; of one that is asked for each family's text is
kept while its samples are the same, and the rest is made anew with each scan by the thread that
scans.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache

from prometheus_client import ProcessCollector
from prometheus_client.registry import Collector

from vmad.export.gzip_beginning import GzipBeginning
from vmad.export.kept_text import END, KeptTexts, text_of
from vmad.export.metrics.collector import VmadCollector
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats

#: seconds that a format is made ready for after it was last asked for: scrapes a minute apart
KEEP_READY = 90.0


class Exposition:
    """The bytes that ``/metrics`` serves. Safe to use from several threads.

    What a scan found is rendered (and compressed) once; what vmad says of itself at each call,
    so that a refused reload or lost events show at the next scrape: about a millisecond.
    ``stats`` gives the newest; plain stats stand for a moment that does not move on.
    """

    def __init__(
        self,
        stats: SelfStats | Callable[[], SelfStats],
        snapshot: HostSnapshot | None = None,
        target: str | None = None,
    ) -> None:
        self._stats = stats
        self._snapshot = snapshot
        self._target = target
        self._lock = threading.RLock()
        self._texts = KeptTexts()
        self._host_before: VmadCollector | None = None
        self._host_now: VmadCollector | None = None
        self._hosts: dict[bool, GzipBeginning] = {}
        self._asked: dict[tuple[bool, bool], float] = {}  #: monotonic seconds, by format
        self._kept: dict[tuple[bool, bool], bytes] = {}

    def follow(self, before: Exposition) -> None:
        """Go on with the texts of the exposition before; what is asked for is rendered then."""
        self._texts = before._texts
        self._host_before = before._host_now or before._host_before
        self._asked |= before._asked

    def prepare(self, before: Exposition) -> None:
        """Make ready what was asked for of the exposition before, so that a scrape waits for no
        rendering. What nobody has asked for in KEEP_READY seconds is left.
        """
        self.follow(before)
        recently = time.monotonic() - KEEP_READY
        for (openmetrics, compressed), when in tuple(self._asked.items()):
            if when >= recently:
                host = self._host(openmetrics)
                if compressed:
                    host.compressed()
            else:
                del self._asked[openmetrics, compressed]

    def render(self, openmetrics: bool = False, compressed: bool = False) -> bytes:
        """Text format 0.0.4, or OpenMetrics 1.0; gzip when ``compressed``."""
        self._asked[openmetrics, compressed] = time.monotonic()
        if callable(self._stats):
            return self._rendered(self._stats(), openmetrics, compressed)
        with self._lock:
            key = openmetrics, compressed
            if key not in self._kept:
                self._kept[key] = self._rendered(self._stats, openmetrics, compressed)
            return self._kept[key]

    def _rendered(self, stats: SelfStats, openmetrics: bool, compressed: bool) -> bytes:
        itself = VmadCollector(stats, target=self._target).text(self._texts, openmetrics)
        if self._target is None:
            itself += text_of(_process(), openmetrics)
        # the end of an OpenMetrics text stands behind what vmad says of itself
        itself += END if openmetrics else b""
        with self._lock:
            host = self._host(openmetrics)
            return host.gzip_with(itself) if compressed else host.text + itself

    def _host(self, openmetrics: bool) -> GzipBeginning:
        with self._lock:
            host = self._hosts.get(openmetrics)
            if host is None:
                host = self._hosts[openmetrics] = GzipBeginning(self._host_text(openmetrics))
            return host

    def _host_text(self, openmetrics: bool) -> bytes:
        if self._snapshot is None:
            return b""
        now = VmadCollector(None, self._snapshot, self._target)
        text = now.text(self._texts, openmetrics, self._host_now or self._host_before)
        self._host_now, self._host_before = now, None
        return text


@cache
def _process() -> Collector:
    """What prometheus_client tells of every program (process_*)."""
    return ProcessCollector(registry=None)
