# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VmadLimitFailures fires in a real Prometheus for who failed at the limit, dead or alive, alone.

A job that is gone at once, a worker of a service that goes on, and a service that dies of it and is
started again; beside them a program that fails with ENOMEM far from the limit.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.e2e.prometheus_server import Prometheus
from tests.e2e.test_limit_failures import LIMIT, PROGRAM, TOTAL
from tests.e2e.test_rules import RULES
from tests.live.targets import Target
from tests.live.thread_guards import GUARD_REGIONS
from vmad.operations.rule_files import FILES

pytestmark = pytest.mark.bpf

#: the scan at the start is the only one: whoever fails is told of by BPF alone
CONFIG = "scan: {interval: 1h, sample_interval: 100ms, budget: 100%, failures: always}\n"
ALERT = 'ALERTS{alertname="VmadLimitFailures", alertstate="firing"'
JOB, WORKER, CRASHER, ELSEWHERE = "vmad-fjob", "vmad-fworker", "vmad-fcrasher", "vmad-elsewhere"
#: who -> the call of failing_calls.c, VMAs above the limit, the call that fails, its error
FAILING = {
    JOB: ("mmap", 1, "mmap", "ENOMEM"),
    WORKER: (
        ("pthread_create", 1, "mmap", "ENOMEM")
        if GUARD_REGIONS
        else ("pthread_create", 0, "mprotect", "ENOMEM")
    ),
    CRASHER: ("a thousand of mmap", 1, "mmap", "ENOMEM"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """After all of it has failed: the daemon, and the Prometheus that scrapes it."""

    daemon: Daemon
    prometheus: Prometheus


def _run(program: Path, call: str, vmas: int) -> None:
    subprocess.run(
        [program, call, str(vmas)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("failures")
    made = directory / JOB
    command = ["cc", "-O1", "-pthread", "-static", "-o", str(made), str(PROGRAM)]
    subprocess.run(command, check=True)
    for name in (WORKER, CRASHER, ELSEWHERE):
        shutil.copy(made, directory / name)
    with ExitStack() as stack:
        stack.enter_context(Target(WORKER))
        daemon = stack.enter_context(Daemon(directory, CONFIG)).ready()
        prometheus = stack.enter_context(
            Prometheus(directory, {"vmad": daemon.address}, [RULES / file for file in FILES])
        )
        wait_for("a scrape before", lambda: prometheus.query("vmad_build_info"))
        _run(directory / ELSEWHERE, "mmap of too much", 0)
        for name, (call, above, _, _) in FAILING.items():
            _run(directory / name, call, LIMIT + above)
        stack.enter_context(Target(CRASHER))  # started again
        yield Scene(daemon, prometheus)


@pytest.mark.parametrize("name", FAILING)
def test_it_fires_for_the_group_of_who_failed(scene: Scene, name: str) -> None:
    firing = f'{ALERT}, group="comm/{name}"}}'

    wait_for(firing, lambda: scene.prometheus.query(firing))


@pytest.mark.parametrize(("name", "count"), [(JOB, 1), (WORKER, 1), (CRASHER, 1_000)])
def test_prometheus_has_the_number_by_call_and_error(scene: Scene, name: str, count: int) -> None:
    _, _, call, error = FAILING[name]
    labels = f'group="comm/{name}", call="{call}", error="{error}"'
    expr = f"{TOTAL}{{{labels}}} == {count}"

    wait_for(expr, lambda: scene.prometheus.query(expr))


def test_enomem_far_from_the_limit_alarms_nobody(scene: Scene) -> None:
    # the last of those that failed: the program elsewhere was over before it was told of
    last = f'{ALERT}, group="comm/{CRASHER}"}}'
    wait_for(last, lambda: scene.prometheus.query(last))

    assert scene.prometheus.query(f'{ALERT}, group="comm/{ELSEWHERE}"}}') == []
    assert scene.prometheus.query(f'{TOTAL}{{group="comm/{ELSEWHERE}"}} > 0') == []
