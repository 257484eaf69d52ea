# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The two loops of the daemon: samples of all counts, and scans within the budget."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from vmad.config.schema import Config
from vmad.daemon.bursts import BurstWatching
from vmad.daemon.evidence import Opened, procfs_source
from vmad.daemon.notify import Watchdog
from vmad.errors import FAILURES, EvidenceUnavailable, told
from vmad.memory import give_back
from vmad.model.process import Evidence
from vmad.scan.failures import LimitFailures
from vmad.scan.planner import (
    BREATH,
    Ledger,
    Plan,
    hurried_scan_in,
    is_full,
    most_owed,
    next_sample_in,
    next_scan_in,
)
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot, SelfStats
from vmad.sources.cpu_time import cpu_seconds
from vmad.sources.deadline import DeadlineSource, Hung
from vmad.sources.events import ProcessEvents
from vmad.sources.maximum import read_max_map_count
from vmad.sources.source import Source

log = logging.getLogger("vmad")

#: seconds after which evidence that hung is tried again, if it has come back
TRY_AGAIN = 60.0
#: seconds that a scan may take beyond its interval before the watchdog is left hungry; that
#: interval is the configured one, however long the pause before it
PATIENCE = 30.0


class Rounds:
    """Samples and scans until ``stopping``. Each loop is run by a thread of its own.

    ``config`` is taken from anew at each round. ``show`` gets every snapshot, from the scanning
    thread, and ``keep`` is called after full scans, to write down what was learned.
    Scans, samples and the reading of events count against the budget; showing a snapshot is
    work for those who look at it and does not.
    """

    def __init__(
        self,
        config: Config,
        opened: Opened,
        scanner: Scanner,
        *,
        events: ProcessEvents,
        watchdog: Watchdog,
        stats: Callable[[], SelfStats],
        show: Callable[[HostSnapshot], None],
        keep: Callable[[bool], None] = lambda full: None,
        failures: LimitFailures | None = None,
        bursts: BurstWatching | None = None,
        proc: str = "/proc",
    ) -> None:
        self.config = config
        self.effective_interval = config.scan.interval
        self._opened = opened
        self._scanner = scanner
        self._events = events
        self._watchdog = watchdog
        self._stats = stats
        self._show = show
        self._keep = keep
        self._failures = failures
        self._bursts = bursts
        self._sampling = 0.0  #: CPU seconds
        #: CPU seconds that making things ready for clients took
        self.showing_seconds = 0.0
        self._proc = proc
        self._fallback: Source | None = None
        self._hung_since = 0.0
        self._ledger = Ledger()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._hurry = self._at_once = False
        watchdog.expect(2 * config.scan.interval + PATIENCE)

    def stop(self) -> None:
        """Both loops end at their next step; does not wait for them."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def hurry(self) -> None:
        """Events were lost: scan as soon as the budget allows. From any thread."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def scan_now(self) -> None:
        """A person wants to see: scan at once, pay later. From any thread."""
        with self._changed:
            self._at_once = True
            self._changed.notify_all()

    def _plan(self) -> Plan:
        scan = self.config.scan
        return Plan(scan.interval, scan.full_every, scan.sample_interval, scan.budget)

    # --- samples

    def sample_loop(self) -> None:
        """Count all VMAs every sample interval, where a source can do so without a walk."""
        while not self._stopping.is_set():
            plan = self._plan()
            began, spent = time.monotonic(), cpu_seconds()
            if self._scanner.source.evidence is Evidence.KERNEL and plan.sample_interval > 0:
                try:
                    self._scanner.sample()
                except FAILURES as error:
                    log.warning("sample failed: %s", told(error))
            most, limit = self._scanner.most, read_max_map_count(self._proc)
            if self._failures is not None:
                self._failures.take(most, limit)
            if self._bursts is not None:
                self._bursts.mark(self._scanner, limit)
            took = cpu_seconds() - spent
            self._sampling += took
            pause = next_sample_in(plan, took)
            self._stopping.wait(
                plan.interval if pause is None else max(began + pause - time.monotonic(), 0.0)
            )

    # --- scans

    def scan_loop(self) -> None:
        """Scan, rest as long as the budget asks for, scan again."""
        since_full: int | None = None
        spent = self._spent()
        began = time.monotonic()
        while not self._stopping.is_set():
            plan = self._plan()
            self._ledger.wait(time.monotonic() - began, plan.budget)
            began = time.monotonic()
            first = since_full is None
            since_full = self._scan(plan, since_full)
            now = self._spent()
            # what starting up costs is not held against the first interval
            if not first:
                self._ledger.spend(now - spent, most_owed(plan))
            spent = now
            self.effective_interval = next_scan_in(plan, self._ledger.owed)
            self._watchdog.expect(self.effective_interval + plan.interval + PATIENCE)
            self._rest(began, plan)

    def _spent(self) -> float:
        """CPU seconds that count against the budget. For the scanning thread."""
        return cpu_seconds() - self.showing_seconds + self._sampling + self._events.cpu_seconds

    def _scan(self, plan: Plan, since_full: int | None) -> int | None:
        """One scan; returns the number of scans since the last full one."""
        news = self._events.look()
        with self._changed:
            self._hurry = self._at_once = False
        self._try_main_source()
        full = is_full(plan, since_full) or news.rescan
        try:
            try:
                snapshot = self._scanner.scan(full, self._stats(), news.execed)
            except (Hung, EvidenceUnavailable) as error:  # it hangs, or the kernel refuses by now
                self._fall_back(str(error))
                full = True
                snapshot = self._scanner.scan(full, self._stats())
        except FAILURES as error:
            log.error("scan failed: %s", told(error))
            return since_full
        if not self._stopping.is_set():
            began = cpu_seconds()
            self._show(snapshot)
            self.showing_seconds += cpu_seconds() - began
            self._keep(full)
            if full:  # of processes that are gone; fragments would stay until the next restart
                give_back()
        return 0 if full else (since_full or 0) + 1

    def _rest(self, began: float, plan: Plan) -> None:
        """Wait for the next scan, which lost events or a person may bring forward."""
        pauses = {
            "usual": next_scan_in(plan, self._ledger.owed),
            "hurried": hurried_scan_in(plan, self._ledger.owed),
            "at once": BREATH,
        }
        with self._changed:
            while not self._stopping.is_set():
                pause = "at once" if self._at_once else "hurried" if self._hurry else "usual"
                left = began + pauses[pause] - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    # --- evidence that hangs

    def _fall_back(self, why: str) -> None:
        log.error("%s; falling back to procfs", why)
        self._opened.problems["kernel"] = why
        self._hung_since = time.monotonic()
        if self._fallback is None:
            self._fallback = procfs_source(self.config, self._proc)
        self._scanner.use(self._fallback)

    def _try_main_source(self) -> None:
        main = self._opened.source
        if self._scanner.source is main or time.monotonic() - self._hung_since < TRY_AGAIN:
            return
        if isinstance(main, DeadlineSource) and main.stuck:
            return
        log.info("the kernel evidence is tried again")
        self._opened.problems["kernel"] = None
        self._scanner.use(main)

    @property
    def vmas_walked(self) -> int:
        """By all sources that served, since start-up."""
        used = (self._opened.source, self._fallback)
        return sum(source.health().vmas_walked for source in used if source is not None)
