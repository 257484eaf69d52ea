# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of calls that failed at the limit."""

from __future__ import annotations

from vmad.export.metrics.metric import Labelled, Metric, Section
from vmad.scan.statistics import SelfStats


def _failures(stats: SelfStats) -> Labelled | None:
    tally = stats.machine.limit_failures
    return None if tally is None else tally.totals.items()


def _lost(stats: SelfStats) -> int | None:
    tally = stats.machine.limit_failures
    return None if tally is None else tally.lost


def _watched(stats: SelfStats) -> bool | None:
    tally = stats.machine.limit_failures
    return None if tally is None else tally.watched_since is not None


FAILURES: Section[SelfStats] = Section(
    "Failures at the limit",
    "Calls that failed because of vm.max_map_count, counted by BPF as they return and up to the "
    "moment of the scrape, also of processes that have ended since. Absent where they cannot be "
    "counted or scan.failures is off ([what is seen](limit-failures.md)).",
    (),
    (
        Metric("vmad_limit_failures_total", "counter", ("group", "call", "error"), "calls",
               _failures,
               "System calls of the group's processes that failed at the limit since vmad started, "
               "by call and error. A call that has not failed has no sample, but for mmap of "
               "every group that is shown: that is 0.",
               "Above 0: programs have been refused memory, or could not give it back. "
               "`vmad scan` and the page name the last ones."),
        Metric("vmad_limit_failures_watched", "gauge", (), "boolean",
               _watched,
               "Whether calls are watched at this moment. Where the kernel has no cheap way, they "
               "are (scan.failures: auto) while some process has half of the limit or more.",
               "0 beside a process that came to its limit within a second: what failed on its way "
               "is not counted; scan.failures: always watches from the start."),
        Metric("vmad_limit_failures_lost_total", "counter", (), "calls",
               _lost,
               "Failures at the limit that are in no other sample, since more processes failed "
               "within a second or two than there was room for (1,024).",
               "Above 0: vmad_limit_failures_total is that much too low."),
    ),
)  # fmt: skip
