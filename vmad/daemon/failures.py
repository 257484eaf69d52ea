# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts failures at the limit where the kernel lets BPF watch for them, and logs them.

As with merge attempts the programs outlive the rights that loading them took.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from vmad.config.schema import Config
from vmad.daemon.line_bound import LineBound
from vmad.daemon.messages import FAILED, tell
from vmad.errors import EvidenceUnavailable
from vmad.export.quantities import counted
from vmad.model.failures import LimitFailure
from vmad.model.identity import label_safe
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.scan.failures import LimitFailures, is_there
from vmad.sources.maximum import read_max_map_count

log = logging.getLogger("vmad")

#: a process that fails by the same call again is told again after so many seconds
AGAIN_AFTER = 300.0


class FailureLog:
    """A line for each failure that is new, within bounds; the others are counted in the next.

    ``runs`` says whether a process is there to be looked at.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        runs: Callable[[ProcessId], bool] = lambda process: True,
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._told: dict[tuple[object, ...], float] = {}
        self._bound = LineBound(clock)

    def __call__(self, failure: LimitFailure) -> None:
        """``failure.count`` more failures."""
        now = self._clock()
        self._told = {key: when for key, when in self._told.items() if now - when < AGAIN_AFTER}
        key = failure.process, failure.call, failure.error
        if key in self._told:
            self._bound.leave_out(failure.count)
            return
        if not self._bound.admits(failure.count):
            return
        self._told[key] = now
        left_out = self._bound.left_out()
        more = f" ({left_out:,} other failures were not logged)" if left_out else ""
        pid = failure.process.pid
        command = f"vmad explain {pid}" if self._runs(failure.process) else "vmad scan"
        tell(
            FAILED,
            f"{_line(failure)}; {command}{more}",
            pid=pid,
            comm=label_safe(failure.comm),
            group=label_safe(failure.group),
            areas=failure.map_count,
            limit=failure.max_map_count,
            call=failure.call,
            error=failure.error,
            count=failure.count,
            command=command,
            not_told=left_out or None,
        )


def _line(failure: LimitFailure) -> str:
    times = "" if failure.count == 1 else f", {counted(failure.count, 'time')}"
    return (
        f"at the limit: {label_safe(failure.comm)} (pid {failure.process.pid}, "
        f"{label_safe(failure.group)}): {failure.call} failed with {failure.error} at "
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
        self.failures = LimitFailures(
            self._source,
            config,
            proc=proc,
            tell=FailureLog(runs=lambda process: is_there(process, proc)),
        )
        log.info("failures at the limit are counted by BPF (%s)", self._source.way)

    @property
    def why_not(self) -> str | None:
        """Why nothing is counted; None where it is."""
        return self._why_not if self.failures is None else self.failures.why_down

    def try_reading(self) -> None:
        """Ask the kernel as later on. Raises EvidenceUnavailable where a right is missing."""
        if self._source is not None:
            self._source.try_reading()
