# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon's own machine: samples of all counts, scans within the budget, and a fallback."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from vmad.config.schema import Config
from vmad.daemon.bursts import BurstWatching
from vmad.daemon.content import DaemonContent
from vmad.daemon.evidence import Opened, procfs_source
from vmad.daemon.evidence_log import EvidenceLog
from vmad.daemon.failures import FailureCounting
from vmad.daemon.machine import Machine
from vmad.daemon.notify import Watchdog
from vmad.errors import FAILURES, EvidenceUnavailable, told
from vmad.export.quantities import counted
from vmad.model.failures import FailureTally
from vmad.model.process import Evidence, Unread
from vmad.scan import crossings
from vmad.scan.planner import (
    BREATH,
    NEAR,
    Plan,
    hurried_scan_in,
    near_scan_at,
    next_sample_in,
    next_scan_at,
)
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import DaemonStats
from vmad.sources.cpu_time import cpu_seconds
from vmad.sources.deadline import DeadlineSource, Hung
from vmad.sources.events import ProcessEvents
from vmad.sources.giving_back import give_back
from vmad.sources.maximum import read_max_map_count
from vmad.sources.procfs.hidden import hidden_processes
from vmad.sources.source import Source
from vmad.timeline.timeline import Timeline

log = logging.getLogger("vmad")

#: seconds after which evidence that hung, or came back and was refused once more, is tried again
TRY_AGAIN = 60.0
#: seconds that a scan may take beyond its interval before the watchdog is left hungry; that
#: interval is the configured one, however long the pause before it
PATIENCE = 30.0


def mostly_refused(snapshot: HostSnapshot) -> str | None:
    """Why half of the processes or more may not be read; None: fewer."""
    refused = [one for one in snapshot.unreadable if one.why is Unread.PERMISSION]
    known = sum(process.walked_at is not None for process in snapshot.processes)
    if not refused or len(refused) < known:
        return None
    number = f"{len(refused):,} of {counted(len(refused) + known, 'process', 'processes')}"
    return f"{number} may not be read: {refused[0].detail}"


class Host(Machine):
    """The machine that the daemon runs on: sampled and scanned until ``stop``, each by a loop that
    a thread of its own runs.

    ``config`` is taken from anew at each round. ``shown`` gets every snapshot, and whether it is
    the first, from the scanning thread; ``keep`` is called after full scans, to write down what was
    learned; ``told`` is what is told of the daemon. Scans, samples and the reading of events count
    against the budget; showing a snapshot is work for those who look at it and does not.
    """

    scanner: Scanner

    def __init__(
        self,
        config: Config,
        opened: Opened,
        scanner: Scanner,
        *,
        events: ProcessEvents,
        watchdog: Watchdog,
        shown: Callable[[HostSnapshot, bool], None],
        keep: Callable[[bool], None] = lambda full: None,
        told: Callable[[], DaemonStats] = DaemonStats,
        failures: FailureCounting | None = None,
        bursts: BurstWatching | None = None,
        proc: str = "/proc",
        others: Callable[[], Mapping[str, DaemonContent]] = dict,
        timeline: Timeline | None = None,
    ) -> None:
        super().__init__(config, proc=proc, others=others, timeline=timeline)
        self.scanner = scanner
        self.counts, self.phases = scanner.counts, scanner.phases
        self._opened = opened
        self._proc = proc
        self._events = events
        self._watchdog = watchdog
        self._shown = shown
        self._keep = keep
        self._told = told
        self._failures = failures
        self._bursts = bursts
        self._evidence_log = EvidenceLog()
        missing = {name: why for name, why in self.evidences().items() if name != "events"}
        self._evidence_log.begin(missing)
        self._sampling = 0.0  #: CPU seconds
        #: CPU seconds that making things ready for clients took
        self.showing_seconds = 0.0
        self._fallback: Source | None = None
        self._refused = False  #: by the kernel, while it did not hang
        self._again_at = 0.0
        self._came_back = -TRY_AGAIN
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._hurry = self._at_once = self._urgent = False
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

    @property
    def samples(self) -> bool:
        """Where the kernel counts."""
        return self.scanner.source.evidence is Evidence.KERNEL and self.plan().sample_interval > 0

    # --- its statistics

    def spent(self) -> float:
        """Of this thread, of samples and of events; not of showing."""
        return cpu_seconds() - self.showing_seconds + self._sampling + self._events.cpu_seconds

    def cpu_seconds(self) -> float:
        """Of the whole daemon."""
        return time.process_time()

    def evidences(self) -> Mapping[str, str | None]:
        """Those of address spaces, of failures, bursts and events."""
        news = self._events.peek()
        problems = dict(self._opened.problems)
        if self.scanner.source.evidence is Evidence.PROCFS:
            problems["procfs"] = hidden_processes(self._proc)
        if self._bursts is not None:
            problems["bursts"] = self._bursts.why_not
        if self._failures is not None:
            problems["failures"] = self._failures.why_not
        problems["events"] = None if news.resting else news.why_down
        if not self.config.scan.events:
            problems["events"] = "switched off (scan.events)"
        return problems

    def limit_failures(self) -> FailureTally | None:
        """Of all its processes."""
        failures = None if self._failures is None else self._failures.failures
        return None if failures is None else failures.tally()

    def daemon(self) -> DaemonStats | None:
        """With what came of events."""
        return self._told()

    def show(self, snapshot: HostSnapshot) -> None:
        """See :class:`Machine`."""
        if self._failures is not None and self._failures.failures is not None:
            self._failures.failures.groups_are([group.name for group in snapshot.groups])
        super().show(snapshot)

    # --- samples

    def sample_loop(self) -> None:
        """Count all VMAs every sample interval, where a source can do so without a walk."""
        while not self._stopping.is_set():
            plan = self.plan()
            began, spent = time.monotonic(), cpu_seconds()
            wrong = None
            for step in (self._count, self._look_at_counts):
                try:
                    step()
                except FAILURES as error:
                    wrong = wrong or told(error)
            self._evidence_log.is_("samples", wrong)
            took = cpu_seconds() - spent
            self._sampling += took
            pause = next_sample_in(plan, took)
            self._stopping.wait(
                plan.interval if pause is None else max(began + pause - time.monotonic(), 0.0)
            )

    def _count(self) -> None:
        if self.samples:
            self.scanner.samples.take()

    def _look_at_counts(self) -> None:
        """Those of the newest sample, and what calls and bursts have told since the last look."""
        if self.scanner.samples.is_urgent(NEAR):
            self._somebody_is_urgent()
        most, limit = self.scanner.samples.most, read_max_map_count(self._proc)
        if self._failures is not None and self._failures.failures is not None:
            self._failures.failures.take(most, limit)
            self.timeline.put_failures(time.time(), self._failures.failures.news())
            for calls in self._failures.failures.highest():
                self.scanner.samples.mark(calls.process, calls.comm, calls.map_count, calls.cgroup)
        peaks = [] if self._bursts is None else self._bursts.mark(self.scanner.samples, limit)
        if self.samples:
            self.limit_log.look(self.scanner.samples.near(crossings.NEAR), limit, peaks)
        self.remember()

    def _somebody_is_urgent(self) -> None:
        """Whoever is near the limit, or new and large, is walked as soon as the budget allows."""
        with self._changed:
            if not self._urgent:
                self._urgent = True
                self._changed.notify_all()

    # --- scans

    def scan_loop(self) -> None:
        """Scan, rest as long as the budget asks for, scan again."""
        near, usual = None, 0.0
        while not self._stopping.is_set():
            plan = self.plan()
            began = self.began(plan)
            if near is None:
                usual = began
            first = self.is_new
            self._round(plan, near)
            # what starting up costs is not held against the first interval
            self.paid(plan, free=first)
            self._evidence_log.rhythm(self.effective_interval, plan.interval)
            self._watchdog.expect(self.effective_interval + plan.interval + PATIENCE)
            near = self._rest(usual, began, plan)

    def _round(self, plan: Plan, near: float | None = None) -> None:
        """One scan, by what is left if the evidence hangs; ``near`` as Scanner.scan has it."""
        # what events tell is for the scan of everybody
        news = self._events.look() if near is None else self._events.peek()
        with self._changed:
            self._urgent = False
            if near is None:
                self._hurry = self._at_once = False
        self._try_main_source()
        try:
            try:
                snapshot = self.scan(plan, rescan=news.rescan, execed=news.execed, near=near)
            except (Hung, EvidenceUnavailable) as error:  # it hangs, or the kernel refuses by now
                self._fall_back(error)
                snapshot = self.scan(plan, rescan=True)
            self._evidence_log.are(self.evidences())
            if not self._stopping.is_set():
                self._show_it(snapshot)
        except FAILURES as error:
            self._evidence_log.is_("scans", told(error))
        else:
            self._evidence_log.is_("scans", None)

    def _show_it(self, snapshot: HostSnapshot) -> None:
        began = cpu_seconds()
        first = self.content.ready() is not None
        if first:  # is told once it is shown
            self._evidence_log.begin({"rights": mostly_refused(snapshot)})
        else:
            self._evidence_log.is_("rights", mostly_refused(snapshot))
        self.show(snapshot)
        self._shown(snapshot, first)
        self.showing_seconds += cpu_seconds() - began
        self._keep(snapshot.full)
        if snapshot.full:  # of processes that are gone; fragments would stay until a restart
            give_back()

    def _rest(self, usual: float, began: float, plan: Plan) -> float | None:
        """Wait for the next scan, which lost events or a person may bring forward; returns NEAR
        where only who is urgent is due. The last scan began at ``began``, the last one of
        everybody at ``usual``.
        """
        with self._changed:
            while not self._stopping.is_set():
                due = next_scan_at(plan, self.owed, usual, began)
                if self._at_once:
                    due = began + BREATH
                elif self._hurry:
                    due = min(due, began + hurried_scan_in(plan, self.owed))
                now = time.monotonic()
                if now >= due:
                    return None
                if self._urgent:
                    near = near_scan_at(plan, self.owed, usual, began)
                    if now >= near:
                        return NEAR
                    due = min(due, near)
                self._changed.wait(due - now)
        return None

    # --- evidence that hangs or is refused

    def _fall_back(self, why: Hung | EvidenceUnavailable) -> None:
        log.debug("%s; falling back to procfs", why)
        self._opened.problems["kernel"] = str(why)
        self._refused = isinstance(why, EvidenceUnavailable)
        now = time.monotonic()
        soon = self._refused and now - self._came_back >= TRY_AGAIN
        self._again_at = now if soon else now + TRY_AGAIN
        if self._fallback is None:
            self._fallback = procfs_source(self.config, self._proc)
        self.scanner.use(self._fallback)

    def _try_main_source(self) -> None:
        main = self._opened.source
        if self.scanner.source is main or time.monotonic() < self._again_at:
            return
        if isinstance(main, DeadlineSource) and main.stuck:
            return
        if self._refused:
            try:
                main.sample()  # which costs nothing, and waits for nobody
            except FAILURES:
                return
        self._came_back = time.monotonic()
        log.info("the kernel evidence is tried again")
        self._opened.problems["kernel"] = None
        self.scanner.use(main)
