# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Groups keep the marks of processes that are gone, named while these are there to be asked."""

from __future__ import annotations

from tests.unit.scan.hosts import Imagined, ImaginedHost, scan, scanner_of
from vmad.config.schema import Config, ExportConfig
from vmad.model.process import ProcessId
from vmad.scan.marks import MOST_GROUPS
from vmad.scan.scanner import Scanner


def test_a_group_keeps_the_mark_of_a_process_that_no_scan_ever_saw() -> None:
    host = ImaginedHost([Imagined(1, 130, comm="worker")])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    host.processes.append(Imagined(2, 65_531, comm="worker"))
    scanner.samples.take()
    del host.processes[1]
    (group,) = scan(scanner).groups

    assert (group.processes, group.map_count_max, group.high_water) == (1, 130, 65_531)
    assert group.ratio == 65_531 / 65_530


def test_a_group_whose_processes_are_gone_is_there_while_it_has_a_mark() -> None:
    now = 1_000.0
    host = ImaginedHost([Imagined(1), Imagined(2, 65_531, comm="job")])
    scanner = Scanner(host, Config(), "host", clock=lambda: now)
    scanner.samples.take()
    del host.processes[1]
    first = scan(scanner, full=True)
    (job,) = (group for group in first.groups if group.name == "comm/job")
    assert (job.processes, job.high_water, job.high_water_at) == (0, 65_531, 1_000.0)
    assert first.worst_ratio == job.ratio == 65_531 / 65_530
    assert (job.map_count_sum, job.map_count_max, job.kinds) == (None, None, None)

    now += 200
    scan(scanner)
    now += 200
    later = next(group for group in scan(scanner).groups if group.name == "comm/job")
    assert (later.high_water, later.ratio) == (65_531, None)

    now += Config().scan.keep_marks
    assert [group.name for group in scan(scanner).groups] == ["comm/imagined"]


def test_ratio_is_of_the_time_since_the_scan_before_however_long_that_was() -> None:
    now = 1_000.0
    host = ImaginedHost([Imagined(1, 65_531)])
    scanner = Scanner(host, Config(), "host", clock=lambda: now)
    scan(scanner, full=True)
    scanner.samples.take()
    host[1].map_count = 100
    now += 3000
    assert scan(scanner).groups[0].ratio == 65_531 / 65_530

    now += 3000
    assert scan(scanner).groups[0].ratio == 100 / 65_530


def test_marks_of_groups_beyond_the_cap_are_those_of_the_other_one() -> None:
    config = Config(export=ExportConfig(max_groups=2))
    host = ImaginedHost(
        [Imagined(1, 5_000, comm="big"), Imagined(2, 3_000, comm="job"), Imagined(3, comm="small")]
    )
    scanner = scanner_of(host, config)
    scanner.samples.take()
    del host.processes[1]
    scan(scanner, full=True)
    groups = {group.name: group for group in scan(scanner).groups}

    assert groups.keys() == {"comm/big", "other"}
    assert (groups["other"].processes, groups["other"].high_water) == (1, 3_000)


def test_a_process_that_is_gone_already_is_named_by_what_the_census_saw_of_its_cgroup() -> None:
    class Remembering(ImaginedHost):
        def last_cgroup_of(self, process: ProcessId) -> bytes | None:
            return b"/system.slice/job.service" if process.pid == 2 else None

    host = Remembering([Imagined(1), Imagined(2, 65_531, comm="sh"), Imagined(3, 5_000, comm="sh")])
    scanner = scanner_of(host)
    scanner.samples.take()
    del host.processes[1:]

    assert {group.name: group.high_water for group in scan(scanner, full=True).groups} == {
        "comm/imagined": 100,
        "job.service": 65_531,
        "comm/sh": 5_000,
    }


def test_low_marks_of_many_jobs_displace_nobody() -> None:
    config = Config(export=ExportConfig(max_groups=4))
    host = ImaginedHost([Imagined(1, 300, comm="nginx"), Imagined(2, 200, comm="sshd")])
    scanner = scanner_of(host, config)
    host.processes += [Imagined(10 + n, 20_000 + n, comm=f"job-{n}") for n in range(9)]
    host.processes.append(Imagined(30, 60_000, comm="burst"))
    scanner.samples.take()
    del host.processes[2:]
    scan(scanner, full=True)
    groups = {group.name: group for group in scan(scanner).groups}

    assert groups.keys() == {"comm/burst", "comm/nginx", "comm/sshd", "other"}
    assert groups["other"].high_water == 20_008


def test_marks_go_over_a_restart_and_to_another_source() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2, 65_531, comm="job")])
    first = scanner_of(host)
    first.samples.take()
    del host.processes[1]
    second = Scanner(host, Config(), "host", marks=first.samples.marks_left())
    scan(second, full=True)
    second.use(ImaginedHost([Imagined(1)], counts=False))

    assert {group.name: group.high_water for group in scan(second, full=True).groups} == {
        "comm/imagined": 100,
        "comm/job": 65_531,
    }


def test_marks_are_asked_for_while_they_rise() -> None:
    host = ImaginedHost([Imagined(1, 2_000)])
    scanner = scanner_of(host)
    scanner.samples.take()

    assert scanner.samples.marks_left(risen=True) is not None
    scanner.samples.take()
    assert scanner.samples.marks_left(risen=True) is None
    assert scanner.samples.marks_left() is not None


def test_what_somebody_else_saw_marks_the_process_and_its_group() -> None:
    host = ImaginedHost([Imagined(1, 130, comm="worker")])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    scanner.samples.mark(host[1].id, "worker", 60_000)
    scanner.samples.mark(ProcessId(9, 9), "never-seen", 50_000)
    scanner.samples.mark(ProcessId(10, 9), "sh", 40_000, b"/system.slice/job.service")
    snapshot = scan(scanner)

    assert snapshot.processes[0].high_water == 60_000
    assert {group.name: group.high_water for group in snapshot.groups} == {
        "comm/worker": 60_000,
        "comm/never-seen": 50_000,
        "job.service": 40_000,
    }


def test_processes_that_never_stay_leave_nothing_that_grows() -> None:
    host = ImaginedHost([Imagined(1)])
    scanner = scanner_of(host)
    for second in range(30):
        first = 1_000 * (second + 1)
        host.processes[1:] = [
            Imagined(first + n, 2_000 + n, start_time=second, comm=f"job-{second}-{n}")
            for n in range(1_000)
        ]
        scanner.samples.take()
    host.processes[1:] = []
    snapshot = scan(scanner, full=True)
    left = scanner.samples.marks_left()

    assert left is not None
    assert len(left) <= MOST_GROUPS
    assert len(snapshot.groups) <= Config().export.max_groups
    # the highest of a second are told first
    assert max(mark.count for steps in left.values() for mark in steps) == 2_999
