# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is in /proc and not in the census: hidden processes are, kernel threads are not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import ProcessId, Unread
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import CENSUS_ROW, Census
from vmad.sources.unseen import Unseen


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        yield sleeping.pid
        sleeping.kill()


def census_without(*absent: int) -> Census:
    """Every process of this host but these."""
    there = sorted({int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()})
    rows = np.zeros(len(there), CENSUS_ROW)
    rows["pid"] = there
    return rows[~np.isin(rows["pid"], absent)]


def test_process_that_is_not_in_the_census_is_named(child: int) -> None:
    (found,) = Unseen().look(lambda: census_without(child))

    assert found.id == ProcessId(child, read_stat(child).start_time)
    assert (found.comm, found.why) == ("sleep", Unread.ERROR)
    assert "does not show it to BPF" in found.detail


def test_nobody_is_missed_where_everybody_is_seen() -> None:
    assert Unseen().look(census_without) == ()


def test_zombies_have_nothing_to_see() -> None:
    with subprocess.Popen(["true"]) as zombie:
        while read_stat(zombie.pid).state != b"Z":
            pass
        assert Unseen().look(lambda: census_without(zombie.pid)) == ()


def proc_of(tmp_path: Path, pid: int, flags: int, parent: int, vsize: int = 4096) -> str:
    text = f"{pid} (x) S {parent} 0 0 0 -1 {flags}{' 0' * 12} 77 {vsize} 0 0\n"
    (tmp_path / str(pid)).mkdir()
    (tmp_path / str(pid) / "stat").write_text(text)
    return str(tmp_path)


def empty_census() -> Census:
    return np.zeros(0, CENSUS_ROW)


@pytest.mark.parametrize(
    ("flags", "parent", "vsize", "hidden"),
    [
        (0x0020_0000, 2, 0, 0),  # a kernel thread
        (0x0020_0000, 7, 0, 0),  # a usermode helper on its way
        (0, 1, 0, 0),  # on its way out: the address space is gone
        (0, 1, 4096, 1),
    ],
)
def test_only_an_address_space_can_be_missed(
    tmp_path: Path, flags: int, parent: int, vsize: int, hidden: int
) -> None:
    proc = proc_of(tmp_path, 40, flags, parent, vsize)

    assert len(Unseen(proc).look(empty_census)) == hidden


def test_kernel_threads_are_not_looked_at_twice(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, 40, 0x0020_0000, 2)
    unseen = Unseen(proc)
    assert unseen.look(empty_census) == ()
    (tmp_path / "40" / "stat").write_text("40 (x) S 1 0 0 0 -1 0" + " 0" * 12 + " 77 4096 0\n")

    assert unseen.look(empty_census) == ()


def test_person_who_asks_for_a_hidden_process_is_not_told_that_it_is_gone(child: int) -> None:
    process = ProcessId(child, read_stat(child).start_time)
    why = Unseen().why_absent(process)

    assert isinstance(why, CannotRead)
    assert str(why) == (
        f"process {child} (sleep): it runs, but this kernel does not show it to BPF; "
        "try --evidence procfs"
    )


def test_process_with_another_start_time_is_gone(child: int) -> None:
    why = Unseen().why_absent(ProcessId(child, 1))

    assert isinstance(why, ProcessGone)
