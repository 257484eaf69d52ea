# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit are added up by group, call and error, whoever is gone by then."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from vmad.config.schema import Config, ExportConfig
from vmad.errors import EvidenceUnavailable
from vmad.model.failures import FailedCalls, LimitFailure
from vmad.model.process import ProcessId
from vmad.scan.failures import REMEMBERED, LimitFailures
from vmad.sources.procfs.stat import read_stat

CALLS = FailedCalls(
    ProcessId(2**30, 7), "java", b"/system.slice/search.service", "mmap", "ENOMEM", 3, 100.0,
    65_531, 65_530,
)  # fmt: skip
MMAP = ("search.service", "mmap", "ENOMEM")


class Kernel:
    """What BPF would hand over, in the order in which it is asked."""

    way = "fexit"
    lost = 0
    attached = True

    def __init__(self, *readings: list[FailedCalls] | EvidenceUnavailable) -> None:
        self._readings = list(readings)
        self.limit: int | None = None
        self.most: int | None = None

    def limit_is(self, max_map_count: int | None) -> None:
        self.limit = max_map_count

    def most_is(self, map_count: int | None) -> None:
        self.most = map_count

    def read(self) -> list[FailedCalls]:
        reading = self._readings.pop(0) if self._readings else []
        if isinstance(reading, EvidenceUnavailable):
            raise reading
        return reading


def test_calls_are_watched_since_somebody_began_without_a_gap() -> None:
    kernel = Kernel()
    kernel.attached = False
    failures = LimitFailures(kernel, Config())
    assert failures.tally().watched_since is None

    kernel.attached = True
    began = failures.tally().watched_since
    assert began is not None
    assert began >= failures.tally().since
    assert failures.tally().watched_since == began

    kernel.attached = False
    assert failures.tally().watched_since is None


def test_process_that_has_ended_is_named_by_what_the_kernel_kept() -> None:
    tally = LimitFailures(Kernel([CALLS]), Config()).tally()

    assert tally.totals == {MMAP: 3}
    assert tally.last == (
        LimitFailure(CALLS.process, "java", "search.service", "mmap", "ENOMEM", 3, 100.0, 65_531,
                     65_530),
    )  # fmt: skip


def test_of_a_process_nothing_is_said_where_failures_are_known_by_number_alone() -> None:
    other = ProcessId(2**30, 9)
    tally = LimitFailures(Kernel([CALLS]), Config()).tally()

    assert tally.of(CALLS.process) == tally.last
    assert tally.of(other) == ()
    assert replace(tally, lost=1).of(other) is None
    assert replace(tally, last=()).of(other) is None


def test_where_a_process_failed_highest_is_told_once() -> None:
    lower = replace(CALLS, call="mprotect", map_count=65_529)
    other = replace(CALLS, process=ProcessId(2**30, 8), map_count=65_530)
    failures = LimitFailures(Kernel([lower, CALLS, other], [lower]), Config())
    failures.take()

    assert [calls.map_count for calls in failures.highest()] == [65_531, 65_530]
    assert failures.highest() == ()
    failures.take()
    assert [calls.map_count for calls in failures.highest()] == [65_529]


def test_process_that_runs_is_named_as_scans_name_it(tmp_path: Path) -> None:
    me = ProcessId(os.getpid(), read_stat(os.getpid()).start_time)
    proc = tmp_path / "proc"
    (proc / str(me.pid)).mkdir(parents=True)
    (proc / str(me.pid) / "stat").write_bytes(Path("/proc/self/stat").read_bytes())
    (proc / str(me.pid) / "cgroup").write_bytes(b"0::/system.slice/other.service\n")
    there, reused = replace(CALLS, process=me), replace(CALLS, process=ProcessId(me.pid, 7))
    failures = LimitFailures(Kernel([there], [reused]), Config(), proc=str(proc))

    assert set(failures.tally().totals) == {("other.service", "mmap", "ENOMEM")}
    assert MMAP in failures.tally().totals, "its pid is another process's by now"


def test_process_without_a_control_group_is_named_by_its_command() -> None:
    tally = LimitFailures(Kernel([replace(CALLS, cgroup=None)]), Config()).tally()

    assert list(tally.totals) == [("comm/java", "mmap", "ENOMEM")]


def test_counts_go_on_and_the_newest_is_told_first() -> None:
    later = replace(CALLS, count=2, last=300.0, map_count=65_530)
    other = replace(CALLS, call="munmap", count=1, last=200.0)
    told: list[LimitFailure] = []
    failures = LimitFailures(Kernel([CALLS], [later, other]), Config(), tell=told.append)
    failures.take()
    tally = failures.tally()

    assert tally.totals == {MMAP: 5, ("search.service", "munmap", "ENOMEM"): 1}
    assert [(each.call, each.count, each.last) for each in tally.last] == [
        ("mmap", 5, 300.0),
        ("munmap", 1, 200.0),
    ]
    assert [(each.call, each.count) for each in told] == [("mmap", 3), ("munmap", 1), ("mmap", 2)]


def test_groups_that_are_shown_have_a_zero_until_they_fail() -> None:
    failures = LimitFailures(Kernel([], [CALLS]), Config())
    failures.groups_are(["search.service"])

    assert failures.tally().totals == {MMAP: 0}
    assert failures.tally().totals[MMAP] == 3


def test_groups_beyond_the_cap_are_other() -> None:
    many = [replace(CALLS, comm=f"job{number}", cgroup=None) for number in range(9)]
    config = replace(Config(), export=replace(ExportConfig(), max_groups=4))
    tally = LimitFailures(Kernel(many), config).tally()

    assert {group: count for (group, *_), count in tally.totals.items()} == {
        **{f"comm/job{number}": 3 for number in range(4)},
        "other": 15,
    }


def test_what_is_remembered_one_by_one_is_bounded() -> None:
    many = [
        replace(CALLS, process=ProcessId(2**30 + number, 7), last=float(number))
        for number in range(REMEMBERED + 20)
    ]
    tally = LimitFailures(Kernel(many), Config()).tally()

    assert len(tally.last) == REMEMBERED
    assert tally.last[0].last == REMEMBERED + 19
    assert sum(tally.totals.values()) == 3 * (REMEMBERED + 20)


def test_a_reading_that_is_refused_is_told_and_loses_nothing_before() -> None:
    refused = EvidenceUnavailable("BPF: a map cannot be read: not permitted", "needs CAP_BPF")
    failures = LimitFailures(Kernel([CALLS], refused, []), Config())
    failures.take()
    failures.take()
    assert failures.why_down == "BPF: a map cannot be read: not permitted; needs CAP_BPF"
    assert failures.tally().totals == {MMAP: 3}
    assert failures.why_down is None


@pytest.mark.parametrize(("text", "limit"), [("1000\n", 1000), (None, None)])
def test_limit_is_that_of_the_moment(tmp_path: Path, text: str | None, limit: int | None) -> None:
    kernel = Kernel()
    if text is not None:
        (tmp_path / "sys/vm").mkdir(parents=True)
        (tmp_path / "sys/vm/max_map_count").write_text(text)
    LimitFailures(kernel, Config(), proc=str(tmp_path)).take(most=77)

    assert (kernel.limit, kernel.most) == (limit, 77)


def test_counting_began_when_it_was_made() -> None:
    assert abs(LimitFailures(Kernel(), Config()).tally().since - time.time()) < 60
