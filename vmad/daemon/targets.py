# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guests that the daemon watches beside its host: a thread, a scanner and a content for each.

One that cannot be read is tried again at every interval and takes nothing from the others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping

from vmad.config.schema import Config, TargetConfig
from vmad.daemon.content import DaemonContent
from vmad.errors import TargetUnavailable, VmadError
from vmad.scan.planner import Ledger, Plan, is_full, most_owed, next_scan_in
from vmad.scan.scanner import ScanCounts, Scanner
from vmad.scan.snapshot import SelfStats
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.source import GuestSource
from vmad.threads import start_thread

log = logging.getLogger("vmad")


class Watch:
    """One guest, watched by a thread until ``stop``. Raises NoThread."""

    def __init__(self, target: TargetConfig, config: Config, cache: AnchorCache) -> None:
        self.target = target
        self.config = config
        self.content = DaemonContent(self.stats, self._attached, name=target.name)
        #: why it cannot be read now; None while it can
        self.why_not: str | None = "it has not been read yet"
        #: CPU time of its thread
        self.cpu_seconds = 0.0
        self._cache = cache
        self._started_at = time.time()
        self._counts = ScanCounts()
        self._walked_before = 0
        self._scanner: Scanner | None = None
        self._source: GuestSource | None = None
        self._effective = config.scan.interval
        self._status = "running"
        self._stopping = threading.Event()
        start_thread(f"vmad-{target.name}"[:15], self._loop)

    def stop(self) -> None:
        """End at the next step; does not wait."""
        self._stopping.set()

    def configure(self, config: Config) -> None:
        """Go by this configuration from the next scan on."""
        self.config = config
        if self._scanner is not None:
            self._scanner.configure(config)

    def _attached(self) -> GuestSource:
        source = self._source
        if source is None:
            raise TargetUnavailable(self.why_not or "it is being attached to")
        return source

    def _loop(self) -> None:
        ledger = Ledger()
        since_full: int | None = None
        began = time.monotonic()
        while not self._stopping.is_set():
            scan = self.config.scan
            plan = Plan(scan.interval, scan.full_every, 0, scan.budget)
            ledger.wait(time.monotonic() - began, plan.budget)
            began, before = time.monotonic(), self.cpu_seconds
            since_full = self._round(plan, since_full)
            self.cpu_seconds = time.thread_time()
            ledger.spend(self.cpu_seconds - before, most_owed(plan))
            self._effective = next_scan_in(plan, ledger.owed)
            self._stopping.wait(max(began + self._effective - time.monotonic(), 0.0))
        self._let_go()

    def _round(self, plan: Plan, since_full: int | None) -> int | None:
        """One scan; returns the number of scans since the last full one, None without any."""
        try:
            if self._scanner is None:
                self._attach()
                since_full = None
            assert self._scanner is not None
            full = is_full(plan, since_full)
            snapshot = self._scanner.scan(full, self.stats())
        except (VmadError, OSError) as error:
            self._failed(str(error))
            return None
        except Exception as error:
            # nothing that a guest or its QEMU says may end the watch of it
            log.exception("target %s: this should not happen; please report it", self.target.name)
            self._failed(f"vmad made a mistake on it: {type(error).__name__}: {error}")
            return None
        if self.why_not is not None:
            log.info("target %s: %d processes are read", self.target.name, len(snapshot.processes))
        self.why_not = None
        self._tell_status()
        self.content.show(snapshot)
        return 0 if full else (since_full or 0) + 1

    def _tell_status(self) -> None:
        status = self._attached().status
        if status != self._status:
            log.info("target %s: the guest is %s", self.target.name, status)
        self._status = status

    def _attach(self) -> None:
        target = self.target
        source = GuestSource(
            target.qemu, types=target.types, consistent=target.consistent, cache=self._cache
        )
        self._source = source
        self._scanner = Scanner(source, self.config, target.name)
        self._scanner.counts = self._counts
        log.info("target %s: Linux %s", target.name, source.kernel.release)

    def _failed(self, why: str) -> None:
        if why != self.why_not:
            log.warning("target %s: %s", self.target.name, why)
        self.why_not = why
        self.content.forget(why)
        self._let_go()

    def _let_go(self) -> None:
        source, self._source, self._scanner = self._source, None, None
        if source is not None:
            self._walked_before += source.health().vmas_walked
            with contextlib.suppress(VmadError, OSError):
                source.close()

    def stats(self) -> SelfStats:
        """What vmad says of its work on this guest. From any thread."""
        counts, scan, source = self._counts, self.config.scan, self._source
        walked = self._walked_before + (0 if source is None else source.health().vmas_walked)
        return SelfStats(
            started_at=self._started_at,
            interval_seconds=scan.interval,
            effective_interval_seconds=self._effective,
            budget_ratio=scan.budget,
            cpu_seconds_total=self.cpu_seconds,
            scans_total=counts.scans,
            full_scans_total=counts.full_scans,
            samples_total=counts.samples,
            vmas_walked_total=walked,
            vmas_skipped_total=counts.vmas_skipped,
            walks_total=counts.walks,
            reads_failed_total=dict(counts.reads_failed),
            event_overruns_total=0,
            events_total=0,
            event_source_up=False,
            event_source_resting=False,
            event_source_why=None,
            groups_folded=0,
            config_reload_success=None,
            config_reload_time=None,
            walk="qemu" if source is None else source.health().walk,
            sources={"kernel": self.why_not},
        )


class Watches:
    """All of them, as the configuration has them."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}
        self._cache = AnchorCache()

    def go_by(self, config: Config) -> None:
        """Watch what is configured now, and no longer what is not. Raises NoThread."""
        wanted = {target.name: target for target in config.targets}
        for name, watch in list(self._watches.items()):
            if wanted.get(name) != watch.target:
                watch.stop()
                del self._watches[name]
            else:
                watch.configure(config)
        for name, target in wanted.items():
            if name not in self._watches:
                self._watches[name] = Watch(target, config, self._cache)

    def contents(self) -> Mapping[str, DaemonContent]:
        """What each has to show, by name."""
        return {name: watch.content for name, watch in list(self._watches.items())}

    def problems(self) -> dict[str, str | None]:
        """Why each cannot be read; None for those that can."""
        return {name: watch.why_not for name, watch in list(self._watches.items())}

    def stop(self) -> None:
        """End them all at their next step; does not wait."""
        for watch in self._watches.values():
            watch.stop()
