# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One machine that is watched: its source, scanner, rhythm, content and statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from vmad.config.schema import Config
from vmad.daemon.content import DaemonContent
from vmad.daemon.limit_log import LimitLog
from vmad.errors import TargetUnavailable
from vmad.model.failures import FailureTally
from vmad.model.stops import Stops
from vmad.scan.crossings import NEAR, Near
from vmad.scan.phases import Phase, PhaseCosts
from vmad.scan.planner import Ledger, Plan, is_full, most_owed, next_scan_in
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import DaemonStats, MachineStats, ScanCounts, SelfStats
from vmad.sources.source import Source
from vmad.timeline.timeline import COUNT, LIMIT, PAUSE, Second, Timeline


class Machine:
    """``name`` is what it is called beside the daemon's own, whose name is None; ``where`` is the
    option by which a command reads it, ``timeline`` what an earlier daemon remembered of it.

    A loop of one thread calls ``began``, ``scan`` and ``paid``; statistics are told to any thread.
    """

    def __init__(
        self,
        config: Config,
        name: str | None = None,
        *,
        where: str = "",
        proc: str = "/proc",
        others: Callable[[], Mapping[str, DaemonContent]] = dict,
        timeline: Timeline | None = None,
    ) -> None:
        self.config = config
        self.name = name
        self.scanner: Scanner | None = None  #: None while the machine cannot be read
        self.limit_log = LimitLog(name, where)
        self.counts = ScanCounts()
        self.phases = PhaseCosts()
        self.effective_interval = config.scan.interval
        self.content = DaemonContent(
            self.stats,
            lambda: self.source,
            proc,
            name=name,
            others=others,
            recount=self.recount,
            timeline=lambda: self.timeline,
        )
        self.timeline = timeline or Timeline()
        self._remembered: float | None = None  #: Unix seconds of what was remembered last
        self._started_at = time.time()
        self.timeline.put_host(self._started_at, starts=1)
        self._ledger = Ledger()
        self._since_full: int | None = None
        self._half_done = False  #: whether the newest scan did not come to its end
        self._began = time.monotonic()
        self._paid = 0.0

    # --- what machines differ in

    def spent(self) -> float:
        """CPU seconds so far that count against the budget. For the scanning thread."""
        raise NotImplementedError

    def cpu_seconds(self) -> float:
        """All CPU seconds so far."""
        raise NotImplementedError

    def evidences(self) -> Mapping[str, str | None]:
        """Each evidence: None = works here, else why it does not."""
        raise NotImplementedError

    @property
    def samples(self) -> bool:
        """Whether who is near the limit is told of by samples; else by scans."""
        return False

    def limit_failures(self) -> FailureTally | None:
        """Failures at the limit; None where they are not counted."""
        return None

    def stops(self) -> Stops | None:
        """How often it was stopped to be read; None where it never is."""
        return None

    def daemon(self) -> DaemonStats | None:
        """What is told of the daemon with the machine that it runs on."""
        return None

    # --- its rhythm

    @property
    def source(self) -> Source:
        """What is read now. Raises TargetUnavailable while there is nothing."""
        if self.scanner is None:
            raise TargetUnavailable("it is being attached to")
        return self.scanner.source

    def configure(self, config: Config) -> None:
        """Go by this configuration from the next scan on. From any thread."""
        self.config = config
        if self.scanner is not None:
            self.scanner.configure(config)

    def plan(self) -> Plan:
        """The configured rhythm."""
        scan = self.config.scan
        return Plan(scan.interval, scan.full_every, scan.sample_interval, scan.budget)

    def began(self, plan: Plan) -> float:
        """A round begins now (monotonic seconds), what it waited since the last one is earned."""
        began = time.monotonic()
        self._ledger.wait(began - self._began, plan.budget)
        self._began = began
        return began

    def paid(self, plan: Plan, *, free: bool = False) -> None:
        """A round ends: what it spent, unless it was ``free``, lengthens the pause after it."""
        spent = self.spent()
        if not free:
            self._ledger.spend(spent - self._paid, most_owed(plan))
        self._paid = spent
        self.effective_interval = next_scan_in(plan, self._ledger.owed)

    @property
    def owed(self) -> float:
        """CPU seconds that are not earned yet."""
        return self._ledger.owed

    @property
    def is_new(self) -> bool:
        """Whether the next scan is full because none has been."""
        return self._since_full is None

    def recount(self) -> HostSnapshot | None:
        """The last scan with counts newer than those it was shown with; None without. From any
        thread.
        """
        return None if self.scanner is None else self.scanner.newest.recount()

    def scan(
        self,
        plan: Plan,
        *,
        rescan: bool = False,
        execed: Collection[int] = (),
        near: float | None = None,
    ) -> HostSnapshot:
        """Scan what is due; everything at times, and when told to ``rescan``. ``near``: only who
        is urgent, see Scanner.scan. Raises what the source raises.
        """
        assert self.scanner is not None
        # who was due in a scan that failed counts as walked
        rescan, self._half_done = rescan or self._half_done, True
        if near is not None and not rescan and self._since_full is not None:
            snapshot = self.scanner.scan(False, execed, near)
        else:
            snapshot = self.scanner.scan(is_full(plan, self._since_full) or rescan, execed)
            self._since_full = 0 if snapshot.full else (self._since_full or 0) + 1
        self._half_done = False
        return snapshot

    def show(self, snapshot: HostSnapshot) -> None:
        """Make it ready for those who ask."""
        with self.phases.timed(snapshot.evidence.value, Phase.RENDER):
            self.content.show(snapshot)
        self._remember_scan(snapshot)
        if not self.samples:
            self.limit_log.look(_near_in(snapshot), snapshot.max_map_count)

    def remember(self) -> None:
        """Keep the counts of the newest sample, or scan, and how the machine is read."""
        counted = None if self.scanner is None else self.scanner.newest.counted()
        if counted is None or counted.at == self._remembered:
            return
        self._remembered = counted.at
        pause = 100 * self.effective_interval / self.config.scan.interval
        host = {COUNT: counted.most, LIMIT: counted.limit, PAUSE: pause}
        second = Second(
            counted.groups, counted.of_groups, counted.processes, counted.of_processes, host
        )
        self.timeline.put(counted.at, second)

    def _remember_scan(self, snapshot: HostSnapshot) -> None:
        took = round(1000 * snapshot.took_seconds)
        self.timeline.put_host(snapshot.taken_at, areas=sum(snapshot.kinds), scan_ms=took)
        self.remember()

    def forget(self, why: str) -> None:
        """It cannot be read: what is known of it is old, and it begins anew."""
        self._since_full = None
        self.content.forget(why)

    # --- its statistics

    def stats(self) -> SelfStats:
        """vmad's work on it until now. From any thread."""
        scan, scanner = self.config.scan, self.scanner
        return SelfStats(
            MachineStats(
                started_at=self._started_at,
                interval_seconds=scan.interval,
                effective_interval_seconds=self.effective_interval,
                budget_ratio=scan.budget,
                cpu_seconds_total=self.cpu_seconds(),
                counts=self.counts,
                walk="qemu" if scanner is None else scanner.source.health().walk,
                sources=self.evidences(),
                phases=self.phases.all(),
                limit_failures=self.limit_failures(),
                stops=self.stops(),
            ),
            self.daemon(),
        )


def _near_in(snapshot: HostSnapshot) -> list[Near]:
    return [
        Near(
            process.id,
            process.comm,
            process.group,
            process.map_count,
            process.rate,
            process.seconds_to_limit,
        )
        for process in snapshot.processes
        if process.map_count is not None and process.ratio is not None and process.ratio >= NEAR
    ]
