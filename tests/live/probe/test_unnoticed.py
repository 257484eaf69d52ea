# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Threads in system calls, in arithmetic and under signals notice nothing, come what may."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live.emulated import EMULATED

PAGE = mmap.PAGESIZE
#: pairs, and milliseconds of a stop in which some but not all of them can be had
MANY, A_PART = (100, 4000) if EMULATED else (1000, 200)

#: for each line on stdin: stops the target in a child that dies by SIGKILL at the next ptrace call
#: of the sequence; says the number of that call, 0 when the child came to the end
DIE_AT = """
import mmap, os, signal, sys
import vmad.probe.calls as calls, vmad.probe.tracing as tracing, vmad.probe.inject as inject
from vmad.probe.session import Session
pid, start = map(int, sys.argv[1:])
session, done, last, real = Session(pid, max_stop=0.2), 0, 0, calls.call
def call(*arguments):
    global done
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*arguments)
calls.call = tracing.call = inject.call = call
for line in sys.stdin:
    last += 1
    child = os.fork()
    if child == 0:
        for stop in session.ask([start + mmap.PAGESIZE * (1 + 2 * last)], lambda: False):
            pass
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    print(last if killed else 0, flush=True)
"""

#: what a stop that is broken off half-way may show (signal(7)): EINTR of these, nothing else
MAY_SEE_EINTR = ("sigwaitinfo: -1 errno 4", "epoll_wait: -1 errno 4", "-")


def vmad(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def hints_of(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="ascii")
    return [line for line in text.splitlines() if line.startswith("VmFlags") and " rr" in line]


@pytest.mark.bpf
def test_heal_merges_what_was_predicted_and_nothing_is_noticed(
    busy: Callable[[int], Any],
) -> None:
    target = busy(MANY)
    planned = vmad("heal", target.pid)
    healed = vmad("heal", target.pid, "--apply", "--max-stop", A_PART)
    report = target.until_handled(target.look().sent)

    assert f"Would merge {MANY:,} latent pairs and gain {MANY:,} VMAs" in planned.stdout
    assert (healed.returncode, healed.stderr) == (0, "")
    assert f"{MANY:,} VMAs fewer ({MANY:,} predicted)" in healed.stdout
    assert report.checksum == target.checksum
    # a signal that got lost would have made the next one a complaint
    assert (report.complaints, report.first_complaint) == (0, "-")


def test_the_target_survives_the_death_of_the_tracer_at_every_step(
    busy: Callable[[int], Any],
) -> None:
    target = busy(400)
    command = [sys.executable, "-c", DIE_AT, str(target.pid), str(target.start)]
    deaths = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as dying:
        assert dying.stdin is not None
        assert dying.stdout is not None
        while True:
            dying.stdin.write("\n")
            step = int(dying.stdout.readline())
            report = target.look()
            assert report.checksum == target.checksum
            assert report.first_complaint in MAY_SEE_EINTR
            assert hints_of(target.pid) == []
            if step == 0:
                break
            deaths = step
        dying.stdin.close()

    # a stop of nine threads takes that many at least, by whatever requests registers are read
    assert deaths > 30
    assert target.until_handled(target.look().sent).rounds[4] > 0


def test_an_interrupted_probe_leaves_the_target_running(busy: Callable[[int], Any]) -> None:
    target = busy(3000)
    command = [sys.executable, "-m", "vmad", "probe", str(target.pid), "--max-stop", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        while "t" not in _states(target.pid) and running.poll() is None:
            pass
        running.send_signal(signal.SIGINT)
        running.communicate()
    report = target.until_handled(target.look().sent)

    assert _tracer(target.pid) == "0"
    assert report.complaints == 0
    assert hints_of(target.pid) == []


def _states(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def _tracer(pid: int) -> str:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(line.split()[1] for line in text.splitlines() if line.startswith("TracerPid"))


def test_a_stopped_target_stays_stopped(busy: Callable[[int], Any]) -> None:
    target = busy(4)
    os.kill(target.pid, signal.SIGSTOP)
    while _states(target.pid) != "T":
        pass
    ran = vmad("probe", target.pid, "--boundary", hex(target.start + PAGE), "--max-stop", "500")
    stopped = _states(target.pid)
    os.kill(target.pid, signal.SIGCONT)

    assert ran.returncode == 0
    assert stopped == "T"
    assert target.look().checksum == target.checksum
