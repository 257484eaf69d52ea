# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What kernel evidence still knows of the cgroup of a process that is gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.zygote import ForkedTarget
from vmad.model.process import ProcessId
from vmad.rules.marked import marked_from
from vmad.sources.bpf.source import BpfSource

pytestmark = pytest.mark.bpf

HIGH = marked_from(int(Path("/proc/sys/vm/max_map_count").read_text()))


def mounted() -> Path | None:
    """Where the unified hierarchy is."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


def unified(pid: int) -> bytes:
    """The path that the kernel shows."""
    lines = Path(f"/proc/{pid}/cgroup").read_bytes().splitlines()
    return next((line[3:] for line in lines if line.startswith(b"0::")), b"/")


@contextlib.contextmanager
def own_cgroup(pid: int) -> Iterator[None]:
    """The process is in a group of its own, two levels deep, where we may make one."""
    root = mounted()
    if root is None or not os.access(root, os.W_OK):
        yield
        return
    outer = root / f"vmad-test-{pid}.slice"
    inner = outer / "job.service"
    inner.mkdir(parents=True)
    try:
        (inner / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        inner.rmdir()
        outer.rmdir()


def gone(target: ForkedTarget) -> None:
    """Ended and reaped, so that its cgroup may be removed."""
    target.stop()
    while os.path.exists(f"/proc/{target.pid}"):
        time.sleep(0.01)


def test_a_young_process_with_many_vmas_is_known_when_it_and_its_group_are_gone(
    kernel_source: BpfSource,
) -> None:
    target = ForkedTarget()
    process = ProcessId(target.pid, target.start_time)
    with own_cgroup(target.pid):
        shown = unified(target.pid)
        target.build("guard_pages", pairs=HIGH)
        kernel_source.census()
        gone(target)

    assert (kernel_source.last_cgroup_of(process) or b"/") == shown
    assert kernel_source.last_cgroup_of(ProcessId(target.pid, target.start_time + 1)) is None


def test_who_has_few_vmas_is_not_remembered(kernel_source: BpfSource) -> None:
    with ForkedTarget() as target, own_cgroup(target.pid):
        kernel_source.census()
        gone(target)

        assert kernel_source.last_cgroup_of(ProcessId(target.pid, target.start_time)) is None
