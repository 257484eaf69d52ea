# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A census writes only what moved since the last one, and yet says what is there now."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.live.targets import Target
from vmad.sources.bpf import census as module
from vmad.sources.bpf.census import KERNEL_CENSUS_ROW, KernelCensus
from vmad.sources.source import Census

pytestmark = pytest.mark.bpf

#: a count from which on the name of a process matters at every sample
HIGH = 300


@pytest.fixture
def census() -> Iterator[KernelCensus]:
    taken = KernelCensus(HIGH)
    yield taken
    taken.close()


@pytest.fixture
def target() -> Iterator[Target]:
    with Target("before") as child:
        yield child


def row_of(rows: Census, target: Target) -> np.void:
    (row,) = rows[rows["pid"] == target.pid]
    found: np.void = row
    return found


def vmas(target: Target) -> int:
    """Lines of maps, but for the one that is no VMA."""
    lines = Path(f"/proc/{target.pid}/maps").read_bytes().splitlines()
    return sum(b"[vsyscall]" not in line for line in lines)


@pytest.mark.parametrize("light", [False, True])
def test_count_is_that_of_now(census: KernelCensus, target: Target, light: bool) -> None:
    assert row_of(census.take(), target)["map_count"] == vmas(target)
    target.build("guard_pages", pairs=20)
    assert row_of(census.take(light), target)["map_count"] == vmas(target)


def test_a_sample_leaves_the_rest_to_the_next_census(census: KernelCensus, target: Target) -> None:
    before = row_of(census.take(), target)
    target.run("open('/proc/self/comm', 'w').write('after')")
    target.build("guard_pages", pairs=20)
    sampled = row_of(census.take(light=True), target)
    after = row_of(census.take(), target)

    for name in ("comm", "total_vm", "lock_seq"):
        assert sampled[name] == before[name]
    assert after["comm"] == b"after"
    statm = Path(f"/proc/{target.pid}/statm").read_text().split()
    assert after["total_vm"] == int(statm[0])
    # -1 before 6.4
    assert after["lock_seq"] != before["lock_seq"] or after["lock_seq"] == -1


def test_of_a_process_with_many_vmas_a_sample_has_the_name_of_now(
    census: KernelCensus, target: Target
) -> None:
    target.build("guard_pages", pairs=HIGH)
    census.take()
    target.run("open('/proc/self/comm', 'w').write('after')")
    assert row_of(census.take(light=True), target)["comm"] == b"after"


@pytest.mark.parametrize("light", [False, True])
def test_who_came_and_who_went(census: KernelCensus, light: bool) -> None:
    with Target() as first:
        assert first.pid in census.take(light)["pid"]
        with Target() as second:
            rows = census.take(light)
            assert row_of(rows, second)["start_time"] == second.start_time
            assert row_of(rows, first)["start_time"] == first.start_time
        first.stop()
        rows = census.take(light)
        assert not {first.pid, second.pid} & set(rows["pid"].tolist())
        assert (np.diff(rows["pid"]) > 0).all()


def test_another_program_in_the_same_process_is_a_new_row(census: KernelCensus) -> None:
    command = ["sh", "-c", "echo ready; read line; exec sleep 1000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        (before,) = (rows := census.take())[rows["pid"] == child.pid]
        child.stdin.write(b"\n")
        child.stdin.flush()
        while os.readlink(f"/proc/{child.pid}/exe").rpartition("/")[2] in ("sh", "dash", "bash"):
            pass
        (after,) = (rows := census.take(light=True))[rows["pid"] == child.pid]
        child.kill()
    assert before["mm"] != after["mm"]
    assert after["comm"] == b"sleep"


def test_what_finds_no_room_among_what_is_kept_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    small = KernelCensus(HIGH)
    for number in (1, 2):
        target.build("guard_pages", pairs=number)
        rows = small.take()
        row = row_of(rows, target)
        assert row["map_count"] == vmas(target)
        assert row["start_time"] == target.start_time
        assert (np.diff(rows["pid"]) > 0).all()
        assert len(rows) > module.KEPT
    assert rows.dtype == KERNEL_CENSUS_ROW
    small.close()
