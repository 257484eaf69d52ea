# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bursts that no scan ever saw, of processes that have ended: their groups keep them, and the
shipped alerts fire in a real Prometheus.

A daemon that scans once an hour samples counts; each burst begins and ends between two scans.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT
from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.e2e.prometheus_server import Prometheus
from tests.e2e.test_rules import RULES
from tests.live.targets import Target
from vmad.operations.rule_files import FILES
from vmad.web.pages.markup import name

pytestmark = pytest.mark.bpf

MARK = "vmad_group_memory_map_areas_highwater"
CONFIG = "scan: {interval: 1h, sample_interval: 100ms, budget: 100%}\n"
#: a job that was never there before, a worker of a service that goes on, and a service that dies
#: and is started again
JOB, WORKER, CRASHER = "comm/vmad-job", "comm/vmad-worker", "comm/vmad-crasher"
GROUPS = (JOB, WORKER, CRASHER)


@dataclass(frozen=True, slots=True)
class Scene:
    """A daemon after the bursts, the Prometheus that scrapes it, where it keeps its state."""

    daemon: Daemon
    prometheus: Prometheus
    directory: Path


def _state(directory: Path) -> dict[str, str]:
    return {"STATE_DIRECTORY": str(directory / "state")}


def _burst(comm: str, daemon: Daemon) -> None:
    """A process comes near the limit, stays for two samples, and is killed."""
    with Target(comm) as target:
        target.build("guard_pages", pairs=(int(LIMIT.read_text()) - 400) // 2)
        before = daemon.value("vmad_samples_total")
        assert before is not None
        daemon.wait_for_value("vmad_samples_total", lambda samples: samples >= before + 2)


def _scan(daemon: Daemon) -> None:
    """Have it scan now, and wait until that shows."""
    before = daemon.value("vmad_scans_total", kind="incremental") or 0
    daemon.reload()
    daemon.wait_for_value("vmad_scans_total", lambda scans: scans > before, kind="incremental")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """After all three bursts and one scan."""
    directory = tmp_path_factory.mktemp("bursts")
    (directory / "state").mkdir()
    with ExitStack() as stack:
        stack.enter_context(Target("vmad-worker"))
        daemon = Daemon(directory, CONFIG, environment=_state(directory))
        stack.enter_context(daemon).ready()
        prometheus = Prometheus(
            directory, {"vmad": daemon.address}, [RULES / file for file in FILES]
        )
        stack.enter_context(prometheus)
        for group in GROUPS:
            _burst(group.removeprefix("comm/"), daemon)
        stack.enter_context(Target("vmad-crasher"))
        _scan(daemon)
        yield Scene(daemon, prometheus, directory)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("alert", ["VmadAtLimit", "VmadBurst"])
def test_both_alerts_fire(scene: Scene, group: str, alert: str) -> None:
    firing = f'ALERTS{{alertname="{alert}", alertstate="firing", group="{group}"}}'

    wait_for(firing, lambda: scene.prometheus.query(firing))


@pytest.mark.parametrize(("group", "processes"), [(JOB, 0), (WORKER, 1), (CRASHER, 1)])
def test_the_mark_is_the_groups_and_the_count_that_of_now(
    scene: Scene, group: str, processes: int
) -> None:
    limit = int(LIMIT.read_text())
    mark = scene.daemon.value(MARK, group=group)
    now = scene.daemon.value("vmad_group_memory_map_areas_max", group=group)

    assert mark is not None
    assert 0.95 * limit < mark <= limit + 1
    assert scene.daemon.value("vmad_group_limit_ratio", group=group) == mark / limit
    assert scene.daemon.value("vmad_group_processes", group=group) == processes
    assert (now is None) == (processes == 0)
    assert now is None or now < 1_000


def test_page_and_json_tell_of_the_bursts(scene: Scene) -> None:
    page = scene.daemon.get("/").decode()
    groups = {group["group"]: group for group in scene.daemon.json("/api/v1/scan")["groups"]}

    bursts = page[page.index(">Bursts<") : page.index(">Why<")]
    assert all(name(group) in bursts for group in GROUPS)
    assert groups[JOB]["high_water"] == scene.daemon.value(MARK, group=JOB)
    assert groups[JOB]["processes"] == 0
    assert groups[JOB]["high_water_at"] <= groups[WORKER]["high_water_at"]


def test_a_scan_by_hand_tells_of_the_bursts(scene: Scene) -> None:
    command = [VMAD, "scan", "--daemon", scene.daemon.address]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = text[text.index("3 groups were near the limit for a time") :]
    document = subprocess.run([*command, "--format", "json"], capture_output=True, check=True)
    bursts = json.loads(document.stdout)["bursts"]

    assert all(group in told for group in GROUPS)
    assert [burst["group"] for burst in bursts] == [CRASHER, WORKER, JOB]
    assert "map_count_max" not in bursts[-1]


def test_marks_outlive_a_crash_of_vmad(scene: Scene) -> None:
    marks = {group: scene.daemon.value(MARK, group=group) for group in GROUPS}

    # the state is as SIGKILL would leave it: what is written at the end is not there
    with Daemon(scene.directory, CONFIG, environment=_state(scene.directory)).ready() as other:
        assert {group: other.value(MARK, group=group) for group in GROUPS} == marks
