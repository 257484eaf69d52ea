# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that change between the look and the stop, are odd, or never the same (strange.c)."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.rebuild.movers import Mover, heal
from vmad.sources.procfs.stat import read_stat

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

SOURCE = Path(__file__).with_name("strange.c")
START, END = 0x2000_0000_0000, 0x2000_0100_0000
PIECES = 16

#: looks, says so, and rebuilds for each line on stdin; then how that ended
WHEN_ASKED = """
import sys
from vmad.errors import VmadError
from vmad.probe.rebuild import RebuildSession
pid, start, end = map(int, sys.argv[1:])
for line in sys.stdin:
    try:
        session = RebuildSession(pid, max_stop=0.5)
        if line == "look\\n":
            print("looked", flush=True)
            sys.stdin.readline()
        stops = list(session.rebuild([(start, end)], lambda: False))
        print("rebuilt" if any(stop.rebuilt for stop in stops) else "nothing", flush=True)
        session.close()
    except VmadError as error:
        print(type(error).__name__, error, flush=True)
"""


class Rebuilding:
    """The other program; a context."""

    def __init__(self, pid: int) -> None:
        command = [sys.executable, "-c", WHEN_ASKED, *map(str, (pid, START, END))]
        self._program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Rebuilding:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate()

    def say(self, line: str = "") -> str:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{line}\n")
        self._program.stdin.flush()
        return self._program.stdout.readline()


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    binary = tmp_path / "strange"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
    subprocess.run(["gcc", *flags, "-o", binary, SOURCE], check=True)
    running = []

    def start(mode: str) -> subprocess.Popen[str]:
        target = subprocess.Popen(
            [binary, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(target)
        assert target.stdout is not None
        assert target.stdout.readline() == f"{target.pid}\n"
        return target

    yield start
    for target in running:
        target.kill()
        target.communicate()


def after(target: subprocess.Popen[str], line: str) -> list[int]:
    """What a target says to a line."""
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(line)
    target.stdin.flush()
    return [int(word) for word in target.stdout.readline().split()]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("filter", "has a seccomp filter: if vmad died in the middle"),
        ("share", "shares its address space with process"),
    ],
)
def test_what_comes_after_the_look_is_seen_in_the_stop(
    mover: Callable[..., Mover], what: str, why: str
) -> None:
    target = mover(PIECES)
    with Rebuilding(target.pid) as rebuilding:
        rebuilding.say("look")
        before = target.ask(what)
        said = rebuilding.say()
    now = target.after_more_work()

    assert said.startswith("Refused ")
    assert why in said
    assert (now.wrong, now.row, now.vmas, now.files) == (0, *before[4:])


@pytest.mark.parametrize(
    "asked", [{"runs": [(START, END)]}, {"boundaries": [START + 8 * mmap.PAGESIZE]}]
)
def test_a_number_that_is_another_processs_now_is_not_touched(
    mover: Callable[..., Mover], asked: dict[str, object]
) -> None:
    target = mover(PIECES)
    before = target.after_more_work()
    started = read_stat(target.pid).start_time
    request = {"pid": target.pid, "started": started - 1, "max_stop": 0.5, **asked}
    done = subprocess.run(
        [sys.executable, "-m", "vmad.probe"],
        input=json.dumps(request) + "\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    said = json.loads(done.stdout)

    assert said["kind"] == "TargetGone"
    assert said["what"] == f"process {target.pid} is gone: another one has its number now"
    assert target.after_more_work()[3:] == before[3:]


def test_a_stopped_process_stays_stopped_meanwhile(mover: Callable[..., Mover]) -> None:
    target = mover(PIECES)
    target.after_more_work()
    os.kill(target.pid, signal.SIGSTOP)
    while read_stat(target.pid).state != b"T":
        pass
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
    state = read_stat(target.pid).state
    os.kill(target.pid, signal.SIGCONT)
    now = target.after_more_work()

    assert (done.returncode, done.stderr, state) == (0, "", b"T")
    assert (now.wrong, now.row) == (0, 1)


def test_a_worker_of_io_uring_is_left_alone(
    strange: Callable[[str], subprocess.Popen[str]],
) -> None:
    """It is a thread that runs no code of the program; what it waits for comes in afterwards."""
    target = strange("uring")
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")

    assert (done.returncode, done.stderr) == (0, "")
    assert after(target, "received") == [8, 0, 1]


def test_a_thread_on_a_stack_of_the_go_runtime_is_not_held(
    strange: Callable[[str], subprocess.Popen[str]],
) -> None:
    target = strange("go")
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "runs on a stack of the Go runtime" in done.stderr
    assert after(target, "\n") == [0, 0, PIECES]


@pytest.mark.parametrize("mode", ["exec", "spawn"])
def test_a_process_that_never_stays_as_it_is_lives(
    strange: Callable[[str], subprocess.Popen[str]], mode: str
) -> None:
    """A byte that is wrong, or a call that fails, ends it."""
    target = strange(mode)
    outcomes = set()
    with Rebuilding(target.pid) as rebuilding:
        # how often a child shares its memory just then is for the machine to say
        for asked in range(500):
            outcomes.add(rebuilding.say().split()[0])
            if asked >= 20 and (mode == "exec" or "rebuilt" in outcomes):
                break

    assert target.poll() is None
    assert outcomes <= {"rebuilt", "nothing", "Refused", "TargetGone", "ProcessGone", "DidNotStop"}
    assert mode == "exec" or "rebuilt" in outcomes
