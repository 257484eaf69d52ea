# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon: a sampling thread, a scanning thread, a web server, and signals.

The main thread only waits. SIGTERM and SIGINT end it, SIGHUP reads the configuration again. The
watchdog is fed only while scans come to an end.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vmad.config import load_config
from vmad.config.schema import Config
from vmad.daemon.content import DaemonContent
from vmad.daemon.evidence import Hung, Opened, open_evidence
from vmad.daemon.notify import Notify, watchdog_seconds
from vmad.errors import BadConfig, VmadError
from vmad.scan.planner import Plan, is_full, next_sample_in, next_scan_in
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot, SelfStats
from vmad.sources.events import ProcessEvents
from vmad.sources.procfs.source import ProcfsSource
from vmad.web.server import WebServer

log = logging.getLogger("vmad")

#: share of the budget that reading process events may take
EVENTS_SHARE = 0.25
#: seconds after which a source that hung is tried again
TRY_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the configuration; None: as the configuration says."""

    config_path: str | None = None
    listen: tuple[str, ...] | None = None
    web_config: str | None = None
    evidence: str | None = None


@dataclass
class _Reload:
    """How the last reload went."""

    success: bool | None = None
    time: float | None = None


class Service:
    """One daemon. ``run`` returns the exit status."""

    def __init__(self, options: Options, proc: str = "/proc") -> None:
        self._options = options
        self._proc = proc
        self._config = self._load()
        self._notify = Notify()
        self._stopping = threading.Event()
        self._reload_wanted = threading.Event()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._reload = _Reload()
        self._started_at = time.time()
        self._cpu_at_start = 0.0
        self._effective_interval = self._config.scan.interval
        self._progress = time.monotonic()
        self._opened: Opened = open_evidence(self._config, proc)
        self._main_source = self._opened.source
        self._hung_since: float | None = None
        self._scanner = Scanner(self._opened.source, self._config, socket.gethostname(), proc=proc)
        self._events = self._make_events()
        self._content = DaemonContent(self.stats, lambda: self._scanner.source, proc)

    def _load(self) -> Config:
        config = load_config(self._options.config_path)
        if self._options.evidence is not None:
            config = replace(config, scan=replace(config.scan, evidence=self._options.evidence))
        return config

    def _make_events(self) -> ProcessEvents | None:
        scan = self._config.scan
        if not scan.events:
            return None
        return ProcessEvents(scan.budget * EVENTS_SHARE, self._hurry.set)

    def _plan(self) -> Plan:
        scan = self._config.scan
        return Plan(scan.interval, scan.full_every, scan.sample_interval, scan.budget)

    # --- running

    def run(self, announce: Callable[[Sequence[str]], None] = lambda addresses: None) -> int:
        """Serve until SIGTERM or SIGINT. Raises VmadError when it cannot start."""
        config = self._config.web
        server = WebServer(
            self._options.listen or tuple(map(str, config.listen)),
            self._content,
            max_connections=config.max_connections,
            timeout=config.timeout,
            web_config=self._options.web_config,
        )
        server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        announce(server.addresses)
        for name, problem in self._opened.problems.items():
            if problem is not None:
                log.warning("evidence %s cannot be had: %s", name, problem)
        if self._events is not None:
            self._events.start()
        for name, loop in (("scan", self._scan_loop), ("sample", self._sample_loop)):
            threading.Thread(target=loop, name=f"vmad-{name}", daemon=True).start()
        try:
            self._wait()
        finally:
            self._notify.stopping()
            self._stopping.set()
            self._hurry.set()
            if self._events is not None:
                self._events.stop()
            server.stop()
        return 0

    def _on_stop(self, *_: object) -> None:
        self._stopping.set()
        self._wake.set()

    def _on_reload(self, *_: object) -> None:
        self._reload_wanted.set()
        self._wake.set()

    def _wait(self) -> None:
        """The main thread: reloads, and feeds the watchdog."""
        watchdog = watchdog_seconds()
        while not self._stopping.is_set():
            self._wake.wait(watchdog / 3 if watchdog else None)
            self._wake.clear()
            if self._reload_wanted.is_set():
                self._reload_wanted.clear()
                self.reload()
            if watchdog and self._makes_progress():
                self._notify.alive()

    def _makes_progress(self) -> bool:
        """Whether a scan has ended lately: within two intervals and half a minute."""
        return time.monotonic() - self._progress < 2 * self._effective_interval + 30

    def reload(self) -> None:
        """Read the configuration again; a bad one is refused and the old one stays."""
        self._notify.reloading()
        self._reload.time = time.time()
        try:
            config = self._load()
        except BadConfig as error:
            self._reload.success = False
            for line in str(error).splitlines():
                log.error("configuration refused, the old one stays: %s", line)
        else:
            if config.web != self._config.web:
                log.warning("changes under web take effect at the next start")
            if config.scan.evidence != self._config.scan.evidence:
                log.warning("a change of scan.evidence takes effect at the next start")
            self._config = config
            self._scanner.configure(config)
            self._reload.success = True
            log.info("configuration reloaded")
            self._hurry.set()
        self._notify.ready("configuration reloaded" if self._reload.success else "reload refused")

    # --- the loops

    def _sample_loop(self) -> None:
        plan = self._plan()
        while not self._stopping.is_set():
            began, spent = time.monotonic(), time.thread_time()
            if self._scanner.source.evidence.value == "kernel":
                try:
                    self._scanner.sample()
                except VmadError as error:
                    log.warning("sample failed: %s", error)
            pause = next_sample_in(plan, time.thread_time() - spent)
            self._stopping.wait(
                plan.interval if pause is None else max(began + pause - time.monotonic(), 0.0)
            )
            plan = self._plan()

    def _scan_loop(self) -> None:
        since_full: int | None = None
        spent_before = time.process_time()
        self._cpu_at_start = spent_before
        while not self._stopping.is_set():
            began = time.monotonic()
            self._hurry.clear()
            plan = self._plan()
            full, execed = is_full(plan, since_full), set[int]()
            if self._events is not None:
                news = self._events.look()
                execed = news.execed
                full |= news.rescan
            try:
                snapshot = self._scanner.scan(full, self.stats(), execed)
            except Hung as error:
                self._fall_back(str(error))
                since_full = None
                continue
            except VmadError as error:
                log.error("scan failed: %s", error)
            else:
                since_full = 0 if full else (since_full or 0) + 1
                self._shown(snapshot)
            self._progress = time.monotonic()
            self._try_main_source()
            spent = time.process_time()
            # what starting up costs is not held against the first interval
            first = self._scanner.counts.scans <= 1
            pause = next_scan_in(plan, 0.0 if first else spent - spent_before)
            spent_before = spent
            self._effective_interval = pause
            self._rest(began, pause, plan)

    def _rest(self, began: float, pause: float, plan: Plan) -> None:
        """Wait for the next scan; lost events bring it forward, but within the budget."""
        if self._hurry.wait(max(began + pause - time.monotonic(), 0.0)):
            soonest = began + min(pause, max(1.0, pause / plan.full_every))
            self._stopping.wait(max(soonest - time.monotonic(), 0.0))

    def _shown(self, snapshot: HostSnapshot) -> None:
        first = self._content.ready() is not None
        self._content.show(snapshot)
        line = _status_line(snapshot)
        if first:
            log.info("first scan complete in %.0f ms: %s", snapshot.took_seconds * 1e3, line)
            self._notify.ready(line)
        else:
            self._notify.status(line)

    def _fall_back(self, why: str) -> None:
        """The kernel evidence hangs: procfs serves until it answers again."""
        log.error("%s; falling back to procfs", why)
        self._opened.problems["kernel"] = why
        self._hung_since = time.monotonic()
        scan = self._config.scan
        self._scanner.use(
            ProcfsSource(self._proc, page_budget=scan.page_budget, deadline=scan.deadline)
        )

    def _try_main_source(self) -> None:
        if self._hung_since is None or time.monotonic() - self._hung_since < TRY_AGAIN:
            return
        log.info("trying the kernel evidence again")
        self._hung_since = None
        self._opened.problems["kernel"] = None
        self._scanner.use(self._main_source)

    # --- about itself

    def stats(self) -> SelfStats:
        """What vmad says of its own work, now."""
        counts, health = self._scanner.counts, self._scanner.source.health()
        news = self._events.peek() if self._events is not None else None
        sources = dict(self._opened.problems)
        sources["events"] = (
            "switched off (scan.events)" if news is None else None if news.up else news.why_down
        )
        return SelfStats(
            started_at=self._started_at,
            interval_seconds=self._config.scan.interval,
            effective_interval_seconds=self._effective_interval,
            budget_ratio=self._config.scan.budget,
            cpu_seconds_total=time.process_time(),
            scans_total=counts.scans,
            full_scans_total=counts.full_scans,
            samples_total=counts.samples,
            vmas_walked_total=health.vmas_walked,
            vmas_skipped_total=health.vmas_skipped,
            walks_total=counts.walks,
            reads_failed_total=dict(counts.reads_failed),
            event_overruns_total=news.overruns if news else 0,
            events_total=news.events if news else 0,
            event_source_up=bool(news and news.up),
            groups_folded=0,
            config_reload_success=self._reload.success,
            config_reload_time=self._reload.time,
            walk=health.walk,
            sources=sources,
        )


def _status_line(snapshot: HostSnapshot) -> str:
    """For `systemctl status` and the log."""
    vmas = sum(snapshot.kinds)
    text = f"{len(snapshot.processes):,} processes, {vmas:,} VMAs"
    if snapshot.processes and snapshot.worst_ratio is not None:
        worst = snapshot.processes[0]
        text += f"; nearest to the limit: pid {worst.id.pid} at {snapshot.worst_ratio:.1%}"
    return text
