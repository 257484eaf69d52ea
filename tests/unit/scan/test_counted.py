# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The counts of each second by group, for the history that is kept."""

from __future__ import annotations

from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.config.schema import Config, ExportConfig
from vmad.scan.counted import Counted
from vmad.scan.scanner import Scanner
from vmad.timeline.rings import MISSING

NOW = 1_800_000_000.0


def scanner_of(host: ImaginedHost, config: Config | None = None) -> Scanner:
    scanner = Scanner(host, config or Config(), "host", clock=lambda: NOW)
    scanner.scan(full=True)
    return scanner


def by_group(counted: Counted | None) -> dict[str, int]:
    assert counted is not None
    return dict(zip(counted.groups, counted.of_groups.tolist(), strict=True))


def by_pid(counted: Counted | None) -> dict[int, int]:
    assert counted is not None
    pids = [one.pid for one in counted.processes]
    return dict(zip(pids, counted.of_processes.tolist(), strict=True))


def test_a_group_counts_as_its_worst_process_of_this_second() -> None:
    host = ImaginedHost(
        [Imagined(1, 100, comm="a"), Imagined(2, 300, comm="b"), Imagined(3, 200, comm="a")]
    )
    scanner = scanner_of(host)
    host[1].map_count = 900
    scanner.samples.take()

    counted = scanner.newest.counted()

    assert by_group(counted) == {"comm/a": 900, "comm/b": 300}
    assert by_pid(counted) == {1: 900, 2: 300, 3: 200}
    assert counted is not None
    assert (counted.at, counted.most, counted.limit) == (NOW, 900, 65_530)


def test_who_is_gone_or_is_another_one_counts_no_more() -> None:
    host = ImaginedHost([Imagined(1, 100, comm="a"), Imagined(2, 300, comm="b"), Imagined(3, 50)])
    scanner = scanner_of(host)
    host.processes = [Imagined(1, 700, comm="a", start_time=9), host[3]]
    scanner.samples.take()

    counted = scanner.newest.counted()

    assert by_group(counted) == {"comm/b": MISSING, "comm/a": MISSING, "comm/imagined": 50}
    assert by_pid(counted) == {1: MISSING, 2: MISSING, 3: 50}


def test_who_came_since_and_is_large_counts_in_its_group() -> None:
    host = ImaginedHost([Imagined(1, 100, comm="a")])
    scanner = scanner_of(host)
    host.processes += [
        Imagined(7, 2_000, comm="a"),
        Imagined(8, 3_000, comm="new"),
        Imagined(9, 300, comm="small"),
    ]
    scanner.samples.take()

    host.processes.append(Imagined(10, 2_500, comm="new"))
    scanner.samples.take()

    counted = scanner.newest.counted()

    assert by_group(counted) == {"comm/a": 2_000, "comm/new": 3_000}
    assert by_pid(counted) == {1: 100, 7: 2_000, 8: 3_000, 10: 2_500}


def test_groups_beyond_the_cap_are_one() -> None:
    host = ImaginedHost([Imagined(pid, 100 * pid, comm=f"c{pid}") for pid in range(1, 6)])
    scanner = scanner_of(host, Config(export=ExportConfig(max_groups=3)))

    assert by_group(scanner.newest.counted()) == {"comm/c5": 500, "comm/c4": 400, "other": 300}


def test_names_are_the_same_object_while_nothing_moves_between_groups() -> None:
    scanner = scanner_of(ImaginedHost([Imagined(1, 100), Imagined(2, 300)]))
    before = scanner.newest.counted()
    scanner.samples.take()
    after = scanner.newest.counted()

    assert before is not None
    assert after is not None
    assert after.groups is before.groups
    assert after.processes is before.processes


def test_nothing_is_counted_before_the_first_scan_and_after_the_source_went() -> None:
    host = ImaginedHost([Imagined(1, 100)])
    scanner = Scanner(host, Config(), "host")
    scanner.samples.take()
    assert scanner.newest.counted() is None

    scanner.scan(full=True)
    assert scanner.newest.counted() is not None
    scanner.use(host)
    assert scanner.newest.counted() is None


def test_counts_of_walks_are_kept_where_the_source_cannot_count() -> None:
    scanner = scanner_of(ImaginedHost([Imagined(1, 100)], counts=False))

    assert by_group(scanner.newest.counted()) == {"comm/imagined": 100}


def test_who_is_new_and_large_is_shown_before_its_first_walk() -> None:
    host = ImaginedHost([Imagined(1, 100, comm="a")])
    moment = [NOW]
    scanner = Scanner(host, Config(), "host", clock=lambda: moment[0])
    scanner.scan(full=True)
    host.processes += [Imagined(7, 40_000, comm="job"), Imagined(8, 300, comm="small")]
    moment[0] += 1
    scanner.samples.take()

    snapshot = scanner.newest.recount()

    assert snapshot is not None
    assert [(one.id.pid, one.map_count, one.walked_at) for one in snapshot.processes] == [
        (7, 40_000, None),
        (1, 100, NOW),
    ]
    job = next(group for group in snapshot.groups if group.name == "comm/job")
    assert (job.map_count_max, job.kinds) == (40_000, None)
