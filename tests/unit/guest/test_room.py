# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What takes much memory is asked for before, of every control group that there is above."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmad.sources.room import SMALL, NoRoom, is_held_up, need

MIB = 1 << 20


def proc_of(directory: Path, groups: dict[str, dict[str, str]], *, first: bool = False) -> str:
    """A /proc of ours whose process is in a/b of the second version of control groups, or the
    ``first``; ``groups`` by path.
    """
    mounted = directory / "cgroup"
    for path, files in groups.items():
        (mounted / path).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (mounted / path / name).write_text(text)
    proc = directory / "proc"
    (proc / "self").mkdir(parents=True)
    kind = "cgroup cgroup rw,memory" if first else "cgroup2 cgroup rw"
    (proc / "self/mountinfo").write_text(f"30 24 0:26 / {mounted} rw shared:9 - {kind}\n")
    (proc / str(os.getpid())).mkdir()
    line = "4:memory:/a/b\n" if first else "0::/a/b\n"
    (proc / str(os.getpid()) / "cgroup").write_text(line)
    return str(proc)


def limited(
    limit: str = "max", high: str = "max", used: int = 0, stat: str = "anon 1\nfile 0\nshmem 0\n"
) -> dict[str, str]:
    return {
        "memory.max": limit,
        "memory.high": high,
        "memory.current": f"{used}",
        "memory.stat": stat,
    }


def test_what_fits_is_had(tmp_path: Path) -> None:
    inner, outer = limited(f"{256 * MIB}", used=100 * MIB), limited()
    need(156 * MIB, "it", proc_of(tmp_path, {"a/b": inner, "a": outer}))


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, {"a/b": limited(f"{256 * MIB}", used=100 * MIB)})
    with pytest.raises(NoRoom, match=r"it takes 157 MiB .* group /a/b has 156 left; raise its lim"):
        need(157 * MIB, "it", proc)


def test_a_group_above_and_the_mark_that_stalls_are_limits(tmp_path: Path) -> None:
    outer = limited(f"{256 * MIB}", high=f"{128 * MIB}", used=100 * MIB)
    proc = proc_of(tmp_path, {"a/b": limited(), "a": outer})
    need(28 * MIB, "it", proc)
    with pytest.raises(NoRoom, match="group /a has 28 left"):
        need(29 * MIB, "it", proc)


def test_cached_files_give_way_and_shared_memory_does_not(tmp_path: Path) -> None:
    stat = f"file {60 * MIB}\nshmem {20 * MIB}\n"
    proc = proc_of(tmp_path, {"a/b": limited(f"{100 * MIB}", used=90 * MIB, stat=stat)})
    need(50 * MIB, "it", proc)
    with pytest.raises(NoRoom):
        need(51 * MIB, "it", proc)


def test_the_first_version_of_control_groups_is_known(tmp_path: Path) -> None:
    files = {
        "memory.limit_in_bytes": f"{100 * MIB}",
        "memory.usage_in_bytes": f"{90 * MIB}",
        "memory.stat": f"cache 0\ntotal_cache {30 * MIB}\ntotal_shmem {10 * MIB}\n",
    }
    proc = proc_of(tmp_path, {"a/b": files}, first=True)
    need(30 * MIB, "it", proc)
    with pytest.raises(NoRoom):
        need(31 * MIB, "it", proc)


def test_nobody_is_asked_for_little(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, {"a/b": limited("0")})
    need(SMALL - 1, "it", proc)
    with pytest.raises(NoRoom):
        need(SMALL, "it", proc)


def test_without_control_groups_there_is_room(tmp_path: Path) -> None:
    need(1 << 50, "it", str(tmp_path))


@pytest.mark.parametrize(
    ("groups", "held_up"),
    [
        ({"a/b": limited(high=f"{90 * MIB}", used=90 * MIB), "a": limited()}, True),
        ({"a/b": limited(used=90 * MIB), "a": limited(high=f"{MIB}", used=90 * MIB)}, True),
        ({"a/b": limited(high=f"{91 * MIB}", used=90 * MIB)}, False),
        ({"a/b": limited(f"{90 * MIB}", used=90 * MIB)}, False),
        ({}, False),
    ],
    ids=["own", "above", "below_it", "only_the_limit", "no_files"],
)
def test_whoever_has_more_than_the_mark_that_stalls_is_held_up(
    tmp_path: Path, groups: dict[str, dict[str, str]], held_up: bool
) -> None:
    assert is_held_up(proc_of(tmp_path, groups)) is held_up
