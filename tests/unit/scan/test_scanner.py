# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a scan walks, keeps and says, on imagined hosts."""

from __future__ import annotations

import random
from collections import Counter
from mmap import PAGESIZE as PAGE
from pathlib import Path

import pytest

from tests.unit.scan.hosts import ALIKE, Imagined, ImaginedHost, scan, scanner_of
from vmad.config.load import parse_config
from vmad.config.schema import Config, ExportConfig, ThresholdsConfig
from vmad.model.process import Evidence, ProcessId, Unread, Unreadable
from vmad.model.verdict import RULES
from vmad.rules.vma_cost import TYPICAL
from vmad.scan.snapshot import HostSnapshot


def ratios(snapshot: HostSnapshot) -> dict[int, float | None]:
    return {one.id.pid: one.ratio for one in snapshot.processes}


def test_steady_scan_walks_nobody_and_returns_the_same_objects() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2), Imagined(3)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    settled = scan(scanner)  # growth is known from the second sample on
    steady = scan(scanner)

    assert [one.walks for one in host.processes] == [1, 1, 1]
    assert steady.groups is settled.groups
    assert all(a is b for a, b in zip(steady.processes, settled.processes, strict=True))
    assert scanner.counts.vmas_skipped == 600


def test_incremental_scan_walks_what_moved() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2), Imagined(3)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    host[2].lock_seq += 2
    host.processes.append(Imagined(4))
    scan(scanner)

    assert {one.pid: one.walks for one in host.processes} == {1: 1, 2: 2, 3: 1, 4: 1}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_has_moved_a_scan_says_what_is_there_now(seed: int) -> None:
    chance = random.Random(seed)
    host = ImaginedHost([Imagined(pid) for pid in range(1, 60)])
    scanner = scanner_of(host)

    def move(one: Imagined) -> None:
        one.lock_seq += 2
        match chance.choice(("count", "size", "name", "nothing", "unreadable", "readable")):
            case "count":
                one.map_count = chance.randrange(1, 70_000)
            case "size":
                one.pages = chance.randrange(1, 10_000)
            case "name":
                one.comm = chance.choice(("imagined", "other"))
            case "unreadable":
                one.why = Unread.BUSY
            case "readable":
                one.why = None

    for step in range(30):
        for one in chance.sample(host.processes, chance.choice((0, 0, 1, 3))):
            move(one)
        if chance.random() < 0.1:
            host.processes.append(Imagined(100 + step))
        if chance.random() < 0.1:
            host.processes.remove(chance.choice(host.processes))
        if chance.random() < 0.1:
            host.max_map_count = chance.choice((65_530, 262_144))
        if chance.random() < 0.3:
            scanner.samples.take()
        snapshot = scan(scanner, full=chance.random() < 0.1)
        said = {one.id: one for one in snapshot.processes}
        for one in host.processes:
            assert one.id in said
            shown = said[one.id]
            assert shown.map_count == one.map_count
            assert shown.size == one.total_vm * PAGE
            assert shown.ratio == one.map_count / (host.max_map_count or 0)
            if one.why is None:
                assert shown.comm == one.comm
        assert len(said) == len(host.processes)
        by_group = Counter(one.group for one in snapshot.processes)
        assert {
            group.name: group.processes for group in snapshot.groups if group.processes
        } == by_group


def test_full_scan_that_finds_nothing_new_adds_nothing_up() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2), Imagined(3)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    before = scan(scanner)
    again = scan(scanner, full=True)

    assert again.processes is before.processes
    assert again.groups is before.groups


def test_processes_that_are_alike_share_what_is_said_of_them() -> None:
    host = ImaginedHost([Imagined(pid) for pid in range(1, 4)])
    host[3].map_count += 1
    one, alike, other = scan(scanner_of(host), full=True).processes[::-1]

    assert one.kinds is alike.kinds
    assert one.pairs is alike.pairs
    assert one.recoverable is alike.recoverable
    assert (other.id.pid, other.map_count) == (3, (one.map_count or 0) + 1)


def test_full_scan_walks_everybody() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    snapshot = scan(scanner, full=True)

    assert [one.walks for one in host.processes] == [2, 2]
    assert snapshot.full
    assert scanner.counts.full_scans == 2


def test_sample_between_scans_shows_without_a_walk() -> None:
    host = ImaginedHost([Imagined(1, 100)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    host[1].map_count = 40_000
    scanner.samples.take()
    host[1].map_count = 100
    (process,) = scan(scanner).processes

    assert (process.map_count, process.high_water) == (100, 40_000)


def test_kernel_memory_counts_an_address_space_once() -> None:
    host = ImaginedHost([Imagined(1, 1_000, mm=7), Imagined(2, 1_000, mm=7), Imagined(3, 500)])
    (group,) = scan(scanner_of(host), full=True).groups

    assert group.kernel_bytes == 1_500 * TYPICAL.each


def test_kernel_memory_is_unknown_where_the_kernel_does_not_tell() -> None:
    host = ImaginedHost([Imagined(1, 1_000)], vma_cost=None)
    (group,) = scan(scanner_of(host), full=True).groups

    assert group.kernel_bytes is None


def test_thresholds_are_those_of_the_newest_configuration() -> None:
    scanner = scanner_of(ImaginedHost([Imagined(1)]))
    scan(scanner, full=True)
    scanner.configure(Config(thresholds=ThresholdsConfig(areas=5)))

    assert scan(scanner).thresholds.areas == 5


def test_exited_process_leaves_no_trace() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    del host.processes[1]
    snapshot = scan(scanner)

    assert ratios(snapshot).keys() == {1}
    assert snapshot.unreadable == ()


def test_process_that_exits_while_it_is_walked_is_not_read_and_then_forgotten() -> None:
    host = ImaginedHost([Imagined(1), Imagined(2)])
    scanner = scanner_of(host)
    host.before_summaries = lambda: host.processes.remove(host[2])
    snapshot = scan(scanner, full=True)
    assert [(one.id.pid, one.why) for one in snapshot.unreadable] == [(2, Unread.GONE)]
    assert scanner.counts.reads_failed[Unread.GONE] == 1

    host.before_summaries = lambda: None
    assert scan(scanner).unreadable == ()


def test_contended_process_keeps_its_last_walk_and_is_tried_again() -> None:
    host = ImaginedHost([Imagined(1, facts=((ALIKE, 5),), recoverable=5)])
    scanner = scanner_of(host)
    first = scan(scanner, full=True)
    host[1].why, host[1].map_count = Unread.BUSY, 50_000
    busy = scan(scanner)
    host[1].why = None
    after = scan(scanner)

    assert busy.pairs == first.pairs
    assert busy.processes[0].map_count == 50_000
    assert [one.why for one in busy.unreadable] == [Unread.BUSY]
    assert host[1].walks == 3
    assert after.unreadable == ()


def test_process_that_never_could_be_walked_still_shows_how_near_it_is() -> None:
    host = ImaginedHost([Imagined(1, recoverable=3), Imagined(2, 60_000, why=Unread.BUSY)])
    snapshot = scan(scanner_of(host), full=True)

    assert snapshot.worst_ratio == 60_000 / 65_530
    assert snapshot.processes[0].walked_at is None
    assert snapshot.processes[0].recoverable == dict.fromkeys(RULES)
    assert snapshot.recoverable == {"stock": 3, "relaxed": 3, "rebuild": 0}


def test_missing_right_is_not_tried_again_until_something_changes() -> None:
    host = ImaginedHost([Imagined(1, why=Unread.PERMISSION)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    again = scan(scanner)

    assert host[1].walks == 1
    assert [one.why for one in again.unreadable] == [Unread.PERMISSION]


def test_what_may_not_be_read_any_more_is_not_told_as_it_was() -> None:
    host = ImaginedHost([Imagined(1, 300), Imagined(2, 200)], counts=False)
    scanner = scanner_of(host)
    scan(scanner, full=True)
    host[1].why = Unread.PERMISSION
    lost = scan(scanner, full=True)
    host[1].why = None
    back = scan(scanner, full=True)

    assert ratios(lost) == {2: 200 / 65_530}
    assert [one.id.pid for one in lost.unreadable] == [1]
    assert ratios(back) == {1: 300 / 65_530, 2: 200 / 65_530}


def test_process_that_is_hidden_from_the_census_is_reported_until_a_full_scan_says_otherwise() -> (
    None
):
    hidden = Unreadable(ProcessId(1, 30), "init", Unread.ERROR, "hidden")
    host = ImaginedHost([Imagined(2)], hidden=(hidden,))
    scanner = scanner_of(host)

    assert scan(scanner, full=True).unreadable == (hidden,)
    host.hidden = ()
    assert scan(scanner).unreadable == (hidden,)
    assert scan(scanner, full=True).unreadable == ()
    assert scanner.counts.reads_failed[Unread.ERROR] == 1


def test_source_without_counts_takes_them_from_its_walks() -> None:
    host = ImaginedHost([Imagined(1, 300), Imagined(2, 200)], counts=False)
    scanner = scanner_of(host)
    scan(scanner, full=True)
    snapshot = scan(scanner)

    assert ratios(snapshot) == {1: 300 / 65_530, 2: 200 / 65_530}
    assert [one.walks for one in host.processes] == [1, 1]
    assert snapshot.recoverable == {"stock": None, "relaxed": None, "rebuild": 0}


def test_other_source_starts_from_nothing() -> None:
    """The kernel's walk hangs: what it found is not mixed with what procfs finds."""
    hidden = Unreadable(ProcessId(9, 30), "x", Unread.ERROR, "hidden")
    kernel = ImaginedHost([Imagined(1, facts=((ALIKE, 3),))], hidden=(hidden,))
    procfs = ImaginedHost([Imagined(1)], counts=False)
    scanner = scanner_of(kernel)
    scan(scanner, full=True)
    scanner.use(procfs)
    snapshot = scan(scanner)

    assert snapshot.evidence is Evidence.PROCFS
    assert procfs[1].walks == 1
    assert (dict(snapshot.pairs), snapshot.unreadable) == ({}, ())


def test_limit_that_changes_changes_the_ratios_of_quiet_processes() -> None:
    host = ImaginedHost([Imagined(1, 1_000)])
    scanner = scanner_of(host)
    scan(scanner, full=True)
    host.max_map_count = 2_000

    assert ratios(scan(scanner)) == {1: 0.5}


def test_groups_beyond_the_cap_are_folded() -> None:
    host = ImaginedHost([Imagined(pid, 100 * pid, comm=f"c{pid}") for pid in range(1, 6)])
    snapshot = scan(scanner_of(host, Config(export=ExportConfig(max_groups=3))), full=True)

    assert [group.name for group in snapshot.groups] == ["comm/c5", "comm/c4", "other"]
    assert snapshot.groups[2].processes == 3
    assert snapshot.groups_folded == 3


def test_top_is_bounded_and_the_worst_first() -> None:
    host = ImaginedHost([Imagined(pid, 100 * pid) for pid in range(1, 6)])
    snapshot = scan(scanner_of(host, Config(export=ExportConfig(top=2))), full=True)

    assert [one.id.pid for one in snapshot.top] == [5, 4]
    assert len(snapshot.processes) == 5


def test_pairs_of_groups_add_up_to_the_number_of_pairs() -> None:
    host = ImaginedHost([Imagined(pid, facts=((ALIKE, pid), (8, 2))) for pid in range(1, 5)])
    snapshot = scan(scanner_of(host), full=True)

    for rules in ("stock", "relaxed"):
        of_groups = [
            n
            for group in snapshot.groups
            for key, n in (group.pairs or {}).items()
            if key.rules == rules
        ]
        assert sum(n for key, n in snapshot.pairs.items() if key.rules == rules) == 18
        assert sum(of_groups) == 18


def test_new_configuration_names_groups_anew_without_a_walk() -> None:
    host = ImaginedHost([Imagined(1, comm="java")])
    scanner = scanner_of(host)
    before = scan(scanner, full=True)
    scanner.configure(
        parse_config(b"groups:\n  - match: {comm: java}\n    name: search\n", "test.yml")
    )
    after = scan(scanner)

    assert [group.name for group in before.groups] == ["comm/java"]
    assert [group.name for group in after.groups] == ["search"]
    assert host[1].walks == 1


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with the control group of one process."""
    (tmp_path / "7").mkdir()
    return tmp_path


def belongs_to(proc: Path, unit: str) -> None:
    (proc / "7" / "cgroup").write_text(f"0::/system.slice/{unit}\n")


def test_process_that_execs_is_identified_again(proc: Path) -> None:
    """A service manager moves a child to its unit, then executes the program."""
    host = ImaginedHost([Imagined(7)], proc=str(proc))
    scanner = scanner_of(host)
    belongs_to(proc, "a.service")
    names = [scan(scanner, full=True).groups[0].name]
    names += [scan(scanner, full=True).groups[0].name for _ in range(3)]
    belongs_to(proc, "b.service")
    names += [scan(scanner).groups[0].name, scan(scanner, execed=(7,)).groups[0].name]

    assert names == [*["a.service"] * 5, "b.service"]


def test_move_to_another_unit_is_seen_by_a_later_full_scan(proc: Path) -> None:
    host = ImaginedHost([Imagined(7)], proc=str(proc))
    scanner = scanner_of(host)
    belongs_to(proc, "a.service")
    scan(scanner, full=True)
    scan(scanner, full=True)
    belongs_to(proc, "b.service")
    names = {scan(scanner, full=True).groups[0].name for _ in range(10)}

    assert "b.service" in names
