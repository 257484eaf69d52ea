# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which processes of this host have failed at the limit: counted here, or by the daemon."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from vmad.config.schema import Config
from vmad.errors import EvidenceUnavailable
from vmad.model.failures import FailureTally
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.scan.failures import LimitFailures
from vmad.sources.maximum import read_max_map_count

#: seconds between two questions to the daemon
ASK_AGAIN = 5.0
Asked = Callable[[], FailureTally | None]


class FailingHere:
    """``daemon`` gives what a running one has counted, or None; where none does, BPF is asked to
    count from now on.
    """

    def __init__(self, kernel: KernelInfo, daemon: Asked, *, own: bool = True) -> None:
        self._daemon = daemon
        self._asked_at = -ASK_AGAIN
        self._told: Mapping[ProcessId, int] | None = None
        self._own: LimitFailures | None = None
        self._ask()
        if self._told is None and own:
            self._own = _counting(kernel)

    def counts(self, most: int | None, limit: int | None) -> Mapping[ProcessId, int] | None:
        """By process, those that failed alone."""
        if self._own is not None:
            self._own.take(most, limit)
            return _by_process(self._own.tally())
        if self._told is not None and time.monotonic() - self._asked_at >= ASK_AGAIN:
            self._ask()
        return self._told

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        tally = self._daemon()
        self._told = None if tally is None else _by_process(tally)


def _by_process(tally: FailureTally) -> Mapping[ProcessId, int]:
    counts = Counter[ProcessId]()
    for failure in tally.last:
        counts[failure.process] += failure.count
    return counts


def _counting(kernel: KernelInfo) -> LimitFailures | None:
    from vmad.sources.bpf.failures import KernelFailures  # noqa: PLC0415  libbpf

    try:
        return LimitFailures(KernelFailures(kernel, read_max_map_count()), Config())
    except EvidenceUnavailable:
        return None
