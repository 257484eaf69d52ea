# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Limits of control groups are found upwards in v1 and v2; what is not there is absent."""

from __future__ import annotations

from pathlib import Path

from vmad.sources.cgroup_limits import read_group_use
from vmad.sources.other_limits import read_other_use


def host(tmp_path: Path, cgroup: str, mounts: str) -> Path:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "7").mkdir()
    (proc / "7" / "cgroup").write_text(cgroup)
    (proc / "self" / "mountinfo").write_text(mounts.replace("@", str(tmp_path)))
    return proc


def group(place: Path, **files: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".", 1)).write_text(f"{text}\n")


V2 = "30 25 0:26 / @/cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_v2_is_read_from_the_group_up_to_the_root(tmp_path: Path) -> None:
    proc = host(tmp_path, "0::/a.slice/b.service\n", V2)
    group(tmp_path / "cg/a.slice", pids_max="100", pids_current="90", pids_events="max 3")
    group(
        tmp_path / "cg/a.slice/b.service",
        pids_max="max", pids_current="80",
        memory_max="1048576", memory_current="4096", memory_events="low 0\noom 2\noom_kill 1",
    )  # fmt: skip
    found = read_group_use(7, str(proc))

    assert [(use.controller, use.group, use.used, use.limit, use.hits) for use in found] == [
        ("memory", "/a.slice/b.service", 4096, 1048576, 2),
        ("pids", "/a.slice/b.service", 80, None, None),
        ("pids", "/a.slice", 90, 100, 3),
    ]
    assert found[2].file == f"{tmp_path}/cg/a.slice/pids.max"


def test_v1_has_a_hierarchy_for_each_and_says_unlimited_by_a_number(tmp_path: Path) -> None:
    mounts = (
        "31 25 0:27 / @/memory rw - cgroup cgroup rw,memory\n"
        "32 25 0:28 / @/pids rw - cgroup cgroup rw,pids\n"
    )
    proc = host(tmp_path, "9:pids:/x\n4:memory:/x/y\n0::/\n", mounts)
    place = tmp_path / "memory/x"
    place.mkdir(parents=True)
    (place / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (place / "memory.usage_in_bytes").write_text("77\n")
    group(tmp_path / "pids/x", pids_max="5", pids_current="4")
    found = read_group_use(7, str(proc))

    assert [(use.controller, use.group, use.used, use.limit) for use in found] == [
        ("pids", "/x", 4, 5),
        ("memory", "/x", 77, None),
    ]


def test_a_container_sees_its_own_groups_at_the_mount(tmp_path: Path) -> None:
    mounts = "30 25 0:26 /docker/ID @/cg ro - cgroup2 cgroup rw\n"
    proc = host(tmp_path, "0::/docker/ID/inner\n", mounts)
    group(tmp_path / "cg", pids_max="10", pids_current="9")
    (use,) = read_group_use(7, str(proc))

    assert (use.used, use.limit) == (9, 10)


def test_a_group_outside_of_the_namespace_is_absent(tmp_path: Path) -> None:
    proc = host(tmp_path, "0::/../other\n", V2)
    group(tmp_path / "cg", pids_max="10", pids_current="9")

    assert read_group_use(7, str(proc)) == ()


def test_a_process_that_is_gone_leaves_everything_unknown(tmp_path: Path) -> None:
    use = read_other_use(8, str(tmp_path))

    assert use.process.soft == {}
    assert use.groups == ()
    assert (use.process.size, use.process.user) == (None, None)
    assert use.process.capabilities is None
    assert use.host.commit_limit is None
