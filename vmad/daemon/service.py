# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon: two loops, a web server, and signals.

The main thread only waits for signals: SIGTERM and SIGINT end it, SIGHUP reads the configuration
again. The watchdog is fed only while scans come to an end.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vmad.blame.last import offer, place
from vmad.config import load_config
from vmad.config.schema import Config
from vmad.daemon.bursts import BurstWatching
from vmad.daemon.descriptors import connections_within
from vmad.daemon.evidence import open_evidence
from vmad.daemon.failures import FailureCounting
from vmad.daemon.host import Host
from vmad.daemon.keeping import Keeping
from vmad.daemon.marks_file import marks_file
from vmad.daemon.merge_attempts import merge_attempts_counter
from vmad.daemon.notify import Notify, Watchdog, watchdog_seconds
from vmad.daemon.rights import give_up_after_start
from vmad.daemon.signals import Signals
from vmad.daemon.state import state_file
from vmad.daemon.targets import Guests
from vmad.daemon.timeline_file import timeline_file
from vmad.errors import BadConfig
from vmad.export.quantities import counted
from vmad.model.identity import label_safe
from vmad.model.process import Unread
from vmad.scan.headline import at_limit
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import DaemonStats
from vmad.sources.deadline import DeadlineSource
from vmad.sources.events import ProcessEvents
from vmad.sources.giving_back import give_back
from vmad.threads import NoThread, start_thread
from vmad.web.server import WebServer

log = logging.getLogger("vmad")

#: share of the budget that reading process events may take
EVENTS_SHARE = 0.25
ENDING = frozenset((signal.SIGTERM, signal.SIGINT))
#: keys that are read at the start alone
AT_START = ("evidence", "deadline", "page_budget", "bursts", "failures", "merge_attempts")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the configuration; None: as the configuration says."""

    config_path: str | None = None
    listen: tuple[str, ...] | None = None
    web_config: str | None = None
    evidence: str | None = None


class Service:
    """One daemon. ``run`` returns the exit status.

    Until then SIGTERM and SIGINT have their default effect, which is prompt too. To be made and
    run in the main thread. Raises BadConfig, EvidenceUnavailable.
    """

    def __init__(self, options: Options, proc: str = "/proc") -> None:
        self._signals = Signals()
        # the default would end a daemon that is told to reload while it starts
        self._signals.take((signal.SIGHUP,))
        self._options = options
        self._config = self._load()
        self._exit_status = 0
        self._reload_success: bool | None = None
        self._reload_time: float | None = None
        self._notify = Notify()
        self._watchdog = Watchdog(self._notify, watchdog_seconds())
        self._opened = open_evidence(self._config, proc)
        self._state = state_file(proc)
        self._marks = marks_file()
        offer(place())
        self._timeline = timeline_file(proc)
        self._keeping = Keeping(self._keep)
        self._failures = FailureCounting(self._config, self._opened.source.kernel, proc)
        self._bursts = BurstWatching(self._config, proc)
        self._guests = Guests()
        self._events = ProcessEvents(self._config.scan.budget * EVENTS_SHARE, self._on_lost_events)
        self._host = Host(
            self._config,
            self._opened,
            Scanner(
                self._opened.source,
                self._config,
                socket.gethostname(),
                inherited=self._state.read() if self._state is not None else None,
                marks=self._marks.read() if self._marks is not None else None,
                merge_attempts=merge_attempts_counter(self._config, self._opened.source.kernel),
            ),
            events=self._events,
            watchdog=self._watchdog,
            shown=self._shown,
            keep=self._keeping.now,
            told=self._stats,
            failures=self._failures,
            bursts=self._bursts,
            proc=proc,
            others=self._guests.contents,
            timeline=self._timeline.read() if self._timeline is not None else None,
        )
        web = self._config.web
        self._server = WebServer(
            self._options.listen or tuple(map(str, web.listen)),
            self._host.content,
            max_connections=connections_within(web.max_connections, len(self._config.targets)),
            timeout=web.timeout,
            web_config=self._options.web_config,
            budget=web.budget,
            hosts=web.hosts,
            anybody=web.anybody,
        )

    def _load(self) -> Config:
        config = load_config(self._options.config_path)
        if self._options.evidence is not None:
            config = replace(config, scan=replace(config.scan, evidence=self._options.evidence))
        return config

    def run(self, announce: Callable[[Sequence[str]], None] = lambda addresses: None) -> int:
        """Serve until SIGTERM or SIGINT; 1 when something failed that nobody foresaw.

        Raises VmadError when it cannot start.
        """
        server = self._server
        # ports below 1024 take a right; no thread may start before the rights are given up
        server.bind()
        self._give_up_rights()
        server.start()
        self._signals.take(ENDING)
        announce(server.addresses)
        for name, problem in self._opened.problems.items():
            if problem is not None:
                log.warning("evidence %s cannot be had: %s", name, problem)
        if self._config.scan.events:
            self._events.start()
        self._guests.go_by(self._config)
        loops = {"vmad-scan": self._host.scan_loop, "vmad-sample": self._host.sample_loop}
        for name, loop in loops.items():
            start_thread(name, partial(self._guard, loop))
        try:
            self._wait()
        finally:
            self._notify.stopping()
            self._host.stop()
            self._guests.stop()
            self._events.stop()
            server.stop()
            self._keeping.last()
        return self._exit_status

    def _give_up_rights(self) -> None:
        source = self._opened.source
        direct = source.direct if isinstance(source, DeadlineSource) else source
        try:
            left = give_up_after_start(direct, self._config.scan.deadline, self._try_reading)
        except OSError as error:  # a filter on system calls
            log.warning("capabilities could not be given up: %s", error.strerror)
            return
        log.info("capabilities from here on: %s", ", ".join(left) or "none")

    def _try_reading(self) -> None:
        self._failures.try_reading()
        self._bursts.try_reading()

    def _guard(self, loop: Callable[[], None]) -> None:
        """A loop that breaks down ends the daemon: old numbers must not be served for ever."""
        _name_thread(threading.current_thread().name)
        try:
            loop()
        except Exception:
            log.exception("this should not happen; please report it")
            self._exit_status = 1
            self._signals.send(signal.SIGTERM)

    def _wait(self) -> None:
        """Until the daemon is to end."""
        while True:
            came = self._signals.wait(self._watchdog.period)
            if came & ENDING:
                return
            if signal.SIGHUP in came:
                self.reload()
            if not self._watchdog.feed() and self._watchdog.alone:
                log.critical("scans do not come to an end: ending, to be started again")
                os._exit(1)

    def reload(self) -> None:
        """Read the configuration again; a bad one is refused and the old one stays."""
        self._notify.reloading()
        try:
            config = self._load()
        except BadConfig as error:
            self._reload_success = False
            self._host.content.renew()
            for line in str(error).splitlines():
                log.error("configuration refused, the old one stays: %s", line)
            status = "configuration refused, see the log"
        else:
            # told before its effect can be seen
            self._reload_success, self._reload_time = True, time.time()
            self._host.content.renew()
            status = "configuration reloaded"
            try:
                self._go_by(config)
            except NoThread as error:
                self._reload_success = False
                self._host.content.renew()
                log.error("configuration in force but for its targets: %s", error)
                status = "configuration in force but for its targets, see the log"
            else:
                log.info("configuration reloaded")
        if self._host.content.ready() is None:
            self._notify.ready(status)

    def _go_by(self, config: Config) -> None:
        """Raises NoThread, all but new targets being in force."""
        before, self._config = self._config, config
        if config.web != before.web:
            log.warning("changes under web take effect at the next start")
        for key in AT_START:
            if getattr(config.scan, key) != getattr(before.scan, key):
                log.warning("a change of scan.%s takes effect at the next start", key)
        self._events.share = config.scan.budget * EVENTS_SHARE
        if config.scan.events != before.scan.events:
            (self._events.start if config.scan.events else self._events.stop)()
        self._host.configure(config)
        if self._failures.failures is not None:
            self._failures.failures.configure(config)
        self._host.scan_now()
        self._guests.go_by(config)

    # --- what the loops call

    def _keep(self, everything: bool, last: bool) -> None:
        """Write down what was learned; if not everything, then groups' marks that have risen."""
        if self._marks is not None:
            marks = self._host.scanner.samples.marks_left(risen=not everything)
            if marks is not None:
                self._marks.write(marks)
        if everything and self._state is not None:
            left = self._host.scanner.samples.leave()
            if left is not None:
                self._state.write(left)
        if everything and self._timeline is not None:
            self._timeline.write(self._host.timeline, at_once=last)

    def _on_lost_events(self) -> None:
        self._host.hurry()

    def _shown(self, snapshot: HostSnapshot, first: bool) -> None:
        line = _status_line(snapshot)
        if first:
            # what start-up made stays: no collection needs to look at it again
            gc.collect()
            gc.freeze()
            give_back()
            log.info("first scan complete in %.0f ms: %s", snapshot.took_seconds * 1e3, line)
            _warn_of_missing_rights(snapshot)
            self._notify.ready(line)
        else:
            self._notify.status(line)

    def _stats(self) -> DaemonStats:
        """What there is one of, however many machines are watched. From any thread."""
        news = self._events.peek()
        return DaemonStats(
            event_overruns_total=news.overruns,
            events_total=news.events,
            event_source_up=news.up,
            event_source_resting=news.resting,
            event_source_why=news.why_down,
            config_reload_success=self._reload_success,
            config_reload_time=self._reload_time,
            states={
                file.name: file.why_not
                for file in (self._state, self._marks, self._timeline)
                if file
            },
            targets=self._guests.problems(),
            web_cpu_seconds_total=self._server.cpu_seconds + self._host.showing_seconds,
            web_refused_total=self._server.refused,
        )


def _name_thread(name: str) -> None:
    """For top -H and a debugger; Python does so itself from 3.14 on (proc_pid_comm(5))."""
    with (
        contextlib.suppress(OSError),
        open("/proc/thread-self/comm", "w", encoding="ascii") as file,
    ):
        file.write(name)


def _warn_of_missing_rights(snapshot: HostSnapshot) -> None:
    refused = [unread for unread in snapshot.unreadable if unread.why is Unread.PERMISSION]
    if refused:
        number = counted(len(refused), "process", "processes")
        log.warning("%s may not be read: %s (vmad doctor says more)", number, refused[0].detail)


def _status_line(snapshot: HostSnapshot) -> str:
    """For `systemctl status` and the log."""
    vmas = sum(snapshot.kinds)
    text = f"{counted(len(snapshot.processes), 'process', 'processes')}, {counted(vmas, 'VMA')}"
    worst = snapshot.processes[0] if snapshot.processes else None
    full = at_limit(snapshot, None, snapshot.taken_at)
    if full:
        text += f"; at the limit now: {label_safe(full[0].process.comm)} ({full[0].process.id.pid})"
    elif worst is not None and worst.ratio is not None:
        text += f"; nearest to the limit: pid {worst.id.pid} at {worst.ratio:.1%}"
    if snapshot.unreadable:
        text += f"; {len(snapshot.unreadable):,} could not be read"
    return text
