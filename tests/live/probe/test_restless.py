# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that exec, fork, start threads or sleep uninterruptibly under the probe."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BOUNDARY = 0x2000_0000_0000 + 4 * mmap.PAGESIZE

#: probes one boundary many times in one process; prints how each ended
MANY = """
import sys
from vmad.errors import VmadError
from vmad.probe.session import Session
pid, boundary, times = map(int, sys.argv[1:])
for _ in range(times):
    try:
        session = Session(pid, max_stop=0.5)
        for stop in session.ask([boundary], lambda: False):
            print(stop.answers[0].outcome, flush=True)
        session.close()
    except VmadError as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    binary = tmp_path / "restless"
    source = Path(__file__).with_name("restless.c")
    subprocess.run(["cc", "-O1", "-pthread", "-o", binary, source], check=True)
    running = []

    def start(mode: str) -> subprocess.Popen[bytes]:
        target = subprocess.Popen([binary, mode], stdout=subprocess.PIPE, start_new_session=True)
        running.append(target)
        assert target.stdout is not None
        assert target.stdout.readline() == b"ready\n"
        return target

    yield start
    for target in running:
        if target.poll() is None:
            os.killpg(target.pid, signal.SIGKILL)
        target.communicate()


#: how a probe of a restless target may end; DidNotStop where the machine is busy with others
ENDS = {"apart", "refused", "TargetGone", "ProcessGone", "DidNotStop"}


@pytest.mark.parametrize("mode", ["exec", "threads"])
def test_a_target_that_changes_in_the_middle_lives(
    restless: Callable[[str], subprocess.Popen[bytes]], mode: str
) -> None:
    target = restless(mode)
    command = [sys.executable, "-c", MANY, str(target.pid), str(BOUNDARY), "60"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    outcomes = ran.stdout.split()

    assert target.poll() is None
    assert set(outcomes) <= ENDS
    assert len(outcomes) >= 60
    # between two execs there may be too little time for any of the probes
    assert mode == "exec" or "apart" in outcomes


def test_a_target_in_uninterruptible_sleep_is_given_up(
    restless: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    target = restless("vfork")
    while Path(f"/proc/{target.pid}/stat").read_text().rpartition(")")[2].split()[0] != "D":
        pass
    command = [sys.executable, "-m", "vmad", "probe", str(target.pid)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert "uninterruptible sleep" in ran.stderr


def test_a_target_that_exits_in_the_middle_is_said_to_be_gone(
    restless: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    target = restless("threads")
    command = [sys.executable, "-c", MANY, str(target.pid), str(BOUNDARY), "4000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probing:
        assert probing.stdout is not None
        probing.stdout.readline()
        target.kill()
        target.wait()
        outcomes = set(probing.stdout.read().split())

    assert probing.returncode == 0
    assert outcomes <= ENDS
    # before it was looked at, or in the middle
    assert outcomes & {"TargetGone", "ProcessGone"}
