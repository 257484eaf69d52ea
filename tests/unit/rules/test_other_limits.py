# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which limits are named when it is not vm.max_map_count, and which stay in the JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vmad.model.other_limits import GroupUse, HostUse, OtherUse, ProcessUse
from vmad.rules.other_limits import Bound, other_bounds

MIB = 1 << 20
CALM = ProcessUse(
    pid=7,
    soft={"AS": None, "DATA": None, "MEMLOCK": 8 * MIB, "NPROC": 96_000, "STACK": 8 * MIB},
    size=10 * MIB,
    data=2 * MIB,
    locked=0,
    stack=MIB,
    user=1000,
    tasks_of_user=40,
    capabilities=frozenset(),
)
HOST = HostUse(0, 12 << 30, 4 << 30, 24 << 30, 190, 190_000, 4_194_304, 0, 0)


def bounds(process: ProcessUse = CALM, host: HostUse = HOST, *groups: GroupUse) -> dict[str, Bound]:
    return {bound.name: bound for bound in other_bounds(OtherUse(process, host, groups))}


def named(process: ProcessUse = CALM, host: HostUse = HOST, *groups: GroupUse) -> list[str]:
    return [name for name, bound in bounds(process, host, *groups).items() if bound.in_force]


def limited(**soft: int | None) -> ProcessUse:
    return replace(CALM, soft={**CALM.soft, **soft})


def test_an_ordinary_process_is_near_nothing() -> None:
    assert named() == []
    assert bounds()["RLIMIT_AS"].limit is None


@pytest.mark.parametrize("name", ["AS", "DATA"])
def test_a_limit_that_somebody_set_is_named_however_little_is_used(name: str) -> None:
    assert named(limited(**{name: 512 * MIB})) == [f"RLIMIT_{name}"]


def test_locked_memory_is_named_when_the_limit_is_small_or_near() -> None:
    assert named(limited(MEMLOCK=65_536)) == ["RLIMIT_MEMLOCK"]
    assert named(replace(CALM, locked=7 * MIB)) == ["RLIMIT_MEMLOCK"]
    assert named(replace(CALM, locked=5 * MIB)) == []


def test_who_may_lock_without_limit_is_exempt() -> None:
    process = replace(limited(MEMLOCK=65_536), capabilities=frozenset({"CAP_IPC_LOCK"}))
    assert named(process) == []
    assert bounds(process)["RLIMIT_MEMLOCK"].exempt


def test_threads_of_the_user_are_counted_against_nproc() -> None:
    process = replace(limited(NPROC=50), tasks_of_user=45)
    assert named(process) == ["RLIMIT_NPROC"]
    assert "uid 1000" in bounds(process)["RLIMIT_NPROC"].where


@pytest.mark.parametrize("who", [{"user": 0}, {"capabilities": frozenset({"CAP_SYS_RESOURCE"})}])
def test_root_and_cap_sys_resource_pass_nproc(who: dict[str, object]) -> None:
    process = replace(limited(NPROC=50), tasks_of_user=400)
    assert named(process) == ["RLIMIT_NPROC"]
    assert named(replace(process, **who)) == []  # type: ignore[arg-type]


def test_strict_overcommit_binds_everybody_and_heuristics_only_one_request() -> None:
    assert named(host=replace(HOST, overcommit=2)) == ["CommitLimit"]
    assert named(host=replace(HOST, overcommit=1)) == []
    assert bounds()["vm.overcommit_memory=0"].limit == 24 << 30


def test_few_stacks_that_fit_are_named_with_what_they_must_fit_into() -> None:
    assert named(limited(AS=100 * MIB)) == ["RLIMIT_STACK", "RLIMIT_AS"]
    assert named(limited(AS=512 * MIB)) == ["RLIMIT_AS"]


def test_a_stack_beyond_memory_and_swap_is_named() -> None:
    assert named(limited(STACK=8 << 40)) == ["RLIMIT_STACK"]
    assert named(limited(STACK=8 << 40), replace(HOST, overcommit=1)) == []
    assert named(limited(STACK=8 << 30)) == []


def test_a_control_group_above_is_named_with_its_file() -> None:
    inner = GroupUse("pids", "/a/b", "/c/a/b/pids.max", 90, None)
    outer = GroupUse("pids", "/a", "/c/a/pids.max", 90, 100)
    found = other_bounds(OtherUse(CALM, HOST, (inner, outer)))
    (bound,) = [bound for bound in found if bound.in_force]
    assert (bound.name, bound.used, bound.limit) == ("pids.max", 90, 100)
    assert "/c/a/pids.max" in bound.change


def test_a_group_that_was_run_into_is_named_although_it_is_calm_now() -> None:
    group = GroupUse("pids", "/a", "/c/a/pids.max", 5, 100, hits=3)
    assert named(CALM, HOST, group) == ["pids.max"]


def test_page_cache_alone_does_not_make_memory_near() -> None:
    group = GroupUse("memory", "/a", "/c/a/memory.max", 90, 100)
    assert named(CALM, HOST, group) == []
    assert named(CALM, HOST, replace(group, used=96)) == ["memory.max"]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (replace(HOST, tasks=180_000), "kernel.threads-max"),
        (replace(HOST, tasks=30_000, pid_max=32_768), "kernel.pid_max"),
        (replace(HOST, huge_pages=16, huge_pages_left=0), "vm.nr_hugepages"),
    ],
)
def test_limits_of_the_host_are_named_when_near(host: HostUse, name: str) -> None:
    assert named(host=host) == [name]


def test_what_could_not_be_read_is_absent_and_never_in_force() -> None:
    assert other_bounds(OtherUse(ProcessUse(7), HostUse())) == ()


def test_the_nearest_comes_first() -> None:
    process = replace(limited(AS=512 * MIB, NPROC=50), tasks_of_user=50)
    assert named(process) == ["RLIMIT_NPROC", "RLIMIT_AS"]
