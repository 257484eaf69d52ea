# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guests that the daemon watches beside its host, a thread for each.

One that cannot be read is tried again at every interval and takes nothing from the others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from vmad.config.schema import Config, TargetConfig
from vmad.daemon.content import DaemonContent
from vmad.daemon.machine import Machine
from vmad.errors import FAILURES, TargetUnavailable, VmadError, told
from vmad.model.stops import Stops
from vmad.scan.planner import Plan
from vmad.scan.scanner import Scanner
from vmad.sources.source import Source
from vmad.threads import start_thread

if TYPE_CHECKING:
    # imported where a target is watched: most daemons have none
    from vmad.sources.guest.cache import AnchorCache
    from vmad.sources.guest.source import GuestSource

log = logging.getLogger("vmad")


class Guest(Machine):
    """One guest, watched by a thread until ``stop``. Raises NoThread."""

    def __init__(self, target: TargetConfig, config: Config, cache: AnchorCache) -> None:
        super().__init__(config, target.name, where=f" --target qemu:{target.qemu}")
        self.target = target
        #: why it cannot be read now; None while it can
        self.why_not: str | None = "it has not been read yet"
        self._cache = cache
        self._cpu_seconds = 0.0  #: of its thread
        self._source: GuestSource | None = None
        self._stops: Stops | None = None
        self._status = "running"
        self._stopping = threading.Event()
        start_thread(f"vmad-{target.name}"[:15], self._loop)

    def stop(self) -> None:
        """End at the next step; does not wait."""
        self._stopping.set()

    def spent(self) -> float:
        """CPU time of its thread. For that thread."""
        self._cpu_seconds = time.thread_time()
        return self._cpu_seconds

    def cpu_seconds(self) -> float:
        """CPU time of its thread up to the last scan."""
        return self._cpu_seconds

    def evidences(self) -> Mapping[str, str | None]:
        """The one that there is."""
        return {"kernel": self.why_not}

    def stops(self) -> Stops | None:
        """For walks, with ``consistent``."""
        return self._stops

    @property
    def source(self) -> Source:
        """See :class:`Machine`."""
        if self.scanner is None and self.why_not is not None:
            raise TargetUnavailable(self.why_not)
        return super().source

    def _loop(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                plan = self.plan()
                self.began(plan)
                self._round(plan)
                self.paid(plan)
            except Exception:
                # memory that ends while a failure is told: nothing ends the watch
                with contextlib.suppress(Exception):
                    log.exception("target %s: this should not happen; please report it", self.name)
            self._stopping.wait(max(began + self.effective_interval - time.monotonic(), 0.0))
        self._let_go()

    def _round(self, plan: Plan) -> None:
        """One scan."""
        try:
            if self.scanner is None:
                self._attach()
            snapshot = self.scan(plan)
        except FAILURES as error:
            self._failed(told(error))
            return
        except Exception as error:
            # nothing that a guest or its QEMU says may end the watch of it
            log.exception("target %s: this should not happen; please report it", self.name)
            self._failed(f"vmad made a mistake on it: {type(error).__name__}: {error}")
            return
        if self.why_not is not None:
            log.info("target %s: %d processes are read", self.name, len(snapshot.processes))
        self.why_not = None
        self._tell_status()
        self.show(snapshot)

    def _tell_status(self) -> None:
        assert self._source is not None
        status = self._source.status
        if status != self._status:
            log.info("target %s: the guest is %s", self.name, status)
        self._status = status

    def _attach(self) -> None:
        from vmad.sources.guest.source import GuestSource  # noqa: PLC0415

        target = self.target
        source = GuestSource(
            target.qemu,
            types=target.types,
            consistent=target.consistent,
            cache=self._cache,
            stops=self._stops,
        )
        self._source, self._stops = source, source.stops
        self.scanner = Scanner(
            source, self.config, target.name, counts=self.counts, phases=self.phases
        )
        log.info("target %s: Linux %s", target.name, source.kernel.release)

    def _failed(self, why: str) -> None:
        if why != self.why_not:
            log.warning("target %s: %s", self.name, why)
        self.why_not = why
        self.forget(why)
        self._let_go()

    def _let_go(self) -> None:
        source, self._source, self.scanner = self._source, None, None
        if source is not None:
            with contextlib.suppress(VmadError, OSError):
                source.close()


class Guests:
    """All of them, as the configuration has them."""

    def __init__(self) -> None:
        self._guests: dict[str, Guest] = {}

    @cached_property
    def _cache(self) -> AnchorCache:
        """Kernels that were seen, whatever guest they ran in."""
        from vmad.sources.guest.cache import AnchorCache  # noqa: PLC0415

        return AnchorCache()

    def go_by(self, config: Config) -> None:
        """Watch what is configured now, and no longer what is not. Raises NoThread."""
        targets = {target.name: target for target in config.targets}
        for name, watch in list(self._guests.items()):
            if targets.get(name) != watch.target:
                watch.stop()
                del self._guests[name]
            else:
                watch.configure(config)
        for name, target in targets.items():
            if name not in self._guests:
                self._guests[name] = Guest(target, config, self._cache)

    def contents(self) -> Mapping[str, DaemonContent]:
        """What each has to show, by name."""
        return {name: watch.content for name, watch in list(self._guests.items())}

    def problems(self) -> dict[str, str | None]:
        """Why each cannot be read; None for those that can."""
        return {name: watch.why_not for name, watch in list(self._guests.items())}

    def stop(self) -> None:
        """End them all at their next step; does not wait."""
        for watch in self._guests.values():
            watch.stop()
