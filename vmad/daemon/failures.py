# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts failures at the limit where the kernel lets BPF watch for them, and logs them.

As with merge attempts the programs outlive the rights that loading them took.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from vmad.config.schema import Config
from vmad.errors import EvidenceUnavailable
from vmad.export.quantities import counted
from vmad.model.failures import LimitFailure
from vmad.model.identity import label_safe
from vmad.model.kernel import KernelInfo
from vmad.scan.failures import LimitFailures
from vmad.sources.maximum import read_max_map_count

log = logging.getLogger("vmad")

#: a process that fails by the same call again is told again after so many seconds …
AGAIN_AFTER = 300.0
#: … and of all processes together so many lines are written in a minute
LINES, LINES_PER = 10, 60.0


class FailureLog:
    """A line for each failure that is new, within bounds; the others are counted in the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[object, ...], float] = {}
        self._lines: list[float] = []
        self._not_told = 0

    def __call__(self, failure: LimitFailure) -> None:
        """``failure.count`` more failures."""
        now = self._clock()
        self._told = {key: when for key, when in self._told.items() if now - when < AGAIN_AFTER}
        self._lines = [when for when in self._lines if now - when < LINES_PER]
        key = failure.process, failure.call, failure.error
        if key in self._told or len(self._lines) >= LINES:
            self._not_told += failure.count
            return
        self._told[key] = now
        self._lines.append(now)
        more = f" ({self._not_told:,} other failures were not logged)" if self._not_told else ""
        self._not_told = 0
        log.warning("%s%s", _line(failure), more)


def _line(failure: LimitFailure) -> str:
    times = "" if failure.count == 1 else f", {counted(failure.count, 'time')}"
    return (
        f"at the limit: {label_safe(failure.comm)} (pid {failure.process.pid}, "
        f"{failure.group}): {failure.call} failed with {failure.error} at "
        f"{failure.map_count:,} VMAs of {failure.max_map_count:,}{times}"
    )


class FailureCounting:
    """What the daemon has of it: ``failures``, or ``why_not`` in one line."""

    def __init__(self, config: Config, kernel: KernelInfo, proc: str = "/proc") -> None:
        self.failures: LimitFailures | None = None
        self._source = None
        self._why_not = "switched off (scan.failures)"
        if config.scan.failures == "off":
            return
        from vmad.sources.bpf.failures import KernelFailures  # noqa: PLC0415  libbpf

        try:
            self._source = KernelFailures(
                kernel, read_max_map_count(proc), on_demand=config.scan.failures != "always"
            )
        except EvidenceUnavailable as error:
            self._why_not = str(error)
            log.warning("scan.failures: failures at the limit are not counted: %s", error)
            return
        self.failures = LimitFailures(self._source, config, proc=proc, tell=FailureLog())
        log.info("failures at the limit are counted by BPF (%s)", self._source.way)

    @property
    def why_not(self) -> str | None:
        """Why nothing is counted; None where it is."""
        return self._why_not if self.failures is None else self.failures.why_down

    def try_reading(self) -> None:
        """Ask the kernel as later on. Raises EvidenceUnavailable where a right is missing."""
        if self._source is not None:
            self._source.try_reading()
