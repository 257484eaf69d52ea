# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands as a user runs them, on real processes with real pairs, by both evidences."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.targets import Target

EVIDENCES = [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"]


#: what a capture does not hold: it is of the host, or follows from what is
OF_THE_HOST = ("vma_cost", "other_limits", "limit_advice", "max_map_count_origin")
#: where a daemon runs beside the tests
OF_A_DAEMON = "limit_failures"


def vmad(*words: object, **popen: Any) -> subprocess.CompletedProcess[str]:
    """Run the program, its output in pipes."""
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **popen)


def answer(*words: object) -> dict[str, Any]:
    """The JSON of a run that succeeded and said nothing else."""
    ran = vmad(*words, "--format", "json")
    assert (ran.returncode, ran.stderr) == (0, "")
    thing: dict[str, Any] = json.loads(ran.stdout)
    return thing


def pair_at(explanation: dict[str, Any], boundary: int) -> dict[str, Any]:
    """The one pair with this boundary."""
    (pair,) = [pair for pair in explanation["pairs"] if pair["boundary"] == hex(boundary)]
    found: dict[str, Any] = pair
    return found


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as child:
        yield child


@pytest.mark.bpf
def test_different_anon_vmas_are_blocked_on_stock_and_merge_on_the_patched_kernel(
    target: Target,
) -> None:
    made = target.build("faulted_apart")
    explanation = answer("explain", made.pid, "--evidence", "kernel")
    pair = pair_at(explanation, made.boundary)

    assert explanation["start_time"] == target.start_time
    assert pair["a"] == {"start": hex(made.start), "end": hex(made.boundary), "perms": "rw-p"}
    assert pair["stock"] == {"verdict": "blocked", "reasons": ["anon_vma_differs"]}
    assert pair["relaxed"]["verdict"] == "mergeable"
    assert explanation["recoverable"]["relaxed"] > explanation["recoverable"]["stock"]


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_flags_that_differ_are_named(target: Target, evidence: str) -> None:
    made = target.build("hint_differs")
    pair = pair_at(answer("explain", made.pid, "--evidence", evidence), made.boundary)

    assert pair["stock"]["reasons"][0] == "vm_flags:dd"
    assert pair["flags_differ"] == ["dd"]


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_guard_pages_read_as_one_line(target: Target, evidence: str) -> None:
    target.build("guard_pages", pairs=3000)
    text = vmad("explain", target.pid, "--evidence", evidence).stdout

    assert "5,999 pairs alternate rw-p 4 KiB / ---p 4 KiB, 8 KiB apart: guard pages" in text
    assert "MADV_GUARD_INSTALL" in text
    assert "BOUNDARY" not in text


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_scan_and_explain_count_alike(target: Target, evidence: str) -> None:
    target.build("guard_pages", pairs=50)
    (process,) = answer("scan", target.pid, "--evidence", evidence)["processes"]
    explanation = answer("explain", target.pid, "--evidence", evidence)

    assert process["map_count"] == explanation["map_count"]
    assert process["kinds"] == explanation["kinds"]
    blocked = process["pairs"]["stock"]["blocked"]["vm_flags:access"]
    decisive = [pair["stock"]["reasons"][:1] for pair in explanation["pairs"]]
    assert blocked == decisive.count(["vm_flags:access"]) >= 99


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_a_capture_tells_what_the_process_told(
    target: Target, evidence: str, tmp_path: Path
) -> None:
    target.build("faulted_apart")
    target.build("guard_pages", pairs=50)
    live = answer("explain", target.pid, "--evidence", evidence)
    ran = vmad("capture", target.pid, "-o", tmp_path / "file", "--evidence", evidence, "--names")
    again = answer("explain", target.pid, "--from", tmp_path / "file")

    assert (ran.returncode, ran.stdout) == (0, "")
    for key in OF_THE_HOST:
        live.pop(key)
        again.pop(key, None)
    live.pop(OF_A_DAEMON, None)
    # versions, and what a process runs, are read of the process itself
    told_live, told_again = live.pop("programs"), again.pop("programs")
    assert (live.pop("files_reached"), again.pop("files_reached")) == (True, None)
    # a program that has what tells it in its own file, as Debian 13's Python, is not in a capture
    assert {program["program"] for program in told_again} <= {
        program["program"] for program in told_live
    }
    assert "glibc" in {program["program"] for program in told_again}
    assert again == live


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_pages_are_told_when_asked_for(target: Target, evidence: str) -> None:
    made = target.build("access_differs")
    explanation = answer("explain", made.pid, "--pages", "--evidence", evidence)
    pages = pair_at(explanation, made.boundary)["pages"]

    assert pages["a"]["present"] == 4
    assert pages["b"]["present"] == 4
    assert pages["a"]["swapped"] == pages["b"]["shared"] == 0


def test_pages_shared_by_fork_are_told(target: Target) -> None:
    made = target.build("faulted_apart_forked")
    text = vmad("explain", made.pid, "--pages", "--limit", 100_000).stdout

    (line,) = [line for line in text.splitlines() if line.startswith(f"0x{made.boundary:x}")]
    assert line.endswith("pages 4/0/4 and 4/0/4")


def test_watch_tells_how_fast_it_grows(target: Target) -> None:
    text = vmad("explain", target.pid, "--watch", "0.05").stdout

    assert "It neither grew nor shrank over" in text
    growth = answer("explain", target.pid, "--watch", "0.05")["growth"]
    assert growth["before"] == growth["after"] > 0
    assert growth["seconds"] >= 0.05


def test_a_running_daemon_is_asked_how_fast_it_grows(target: Target) -> None:
    command = [sys.executable, "-m", "vmad", "serve", "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        address = None
        for line in daemon.stderr:
            listening = re.search(r"listening on http://(127.0.0.1:\d+)/", line)
            address = listening[1] if listening else address
            if "first scan complete" in line:
                break
        assert address is not None
        text = vmad("explain", target.pid, "--daemon", address).stdout
        daemon.terminate()
        daemon.communicate()

    assert "A daemon watches it: it had " in text


def test_no_daemon_is_told_and_the_answer_stands(target: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = "{}:{}".format(*closed.getsockname())
    ran = vmad("explain", target.pid, "--daemon", address)

    assert ran.returncode == 0
    assert f"no daemon answers at {address}: Connection refused" in ran.stdout


def thread_of_ours() -> Iterator[int]:
    """The tid of a thread that is not the leader."""
    end, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        end.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    assert thread.native_id is not None
    yield thread.native_id
    end.set()
    thread.join()


def zombie() -> Iterator[int]:
    """The pid of a child that ended and was not waited for."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    yield child.pid
    child.wait()


def gone() -> Iterator[int]:
    """The pid of a child that ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    yield child.pid


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        (thread_of_ours, f"is a thread (python) of process {os.getpid()}; ask for {os.getpid()}"),
        (zombie, "(true) is a zombie: its address space is gone"),
        (gone, "no process"),
    ],
)
def test_what_has_no_address_space_is_one_line(
    case: Callable[[], Iterator[int]], complaint: str
) -> None:
    life = case()
    pid = next(life)
    ran = vmad("explain", pid)
    list(life)

    assert (ran.returncode, ran.stdout) == (3, "")
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("vmad: ")
    assert str(pid) in ran.stderr
    if case is not thread_of_ours:
        assert complaint in ran.stderr
    else:
        assert f"of process {os.getpid()}; ask for {os.getpid()}" in ran.stderr


def test_a_process_that_may_not_be_read_is_one_line_with_the_missing_right(
    target: Target,
) -> None:
    # a root without capabilities may not look into a root with them (ptrace(2), access mode)
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "vmad"]
    ran = subprocess.run(
        [*bare, "explain", str(target.pid)], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout) == (3, "")
    assert len(ran.stderr.splitlines()) == 1
    assert "CAP_SYS_PTRACE" in ran.stderr


def test_a_file_that_cannot_be_finished_leaves_nothing(target: Target, tmp_path: Path) -> None:
    target.build("guard_pages", pairs=3000)
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    words = ("capture", target.pid, "-o", tmp_path / "file", "--evidence", "procfs")
    ran = vmad(*words, preexec_fn=full)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"vmad: {tmp_path}/file: cannot write: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_quietly_with_130(target: Target) -> None:
    # a shell starts what runs in the background with SIGINT ignored, and so would this be
    command = ["env", "--default-signal=INT", sys.executable, "-m", "vmad"]
    command += ["explain", str(target.pid), "--watch", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        deadline = time.monotonic() + 30
        while "nanosleep" not in Path(f"/proc/{child.pid}/wchan").read_text():
            assert time.monotonic() < deadline, "it never slept between its two counts"
            os.sched_yield()
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        said = child.stdout.read()

    assert (child.returncode, said) == (130, b"")


def test_hostile_names_of_a_real_process_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[31m\u202e"
    with Target(comm="x\x1b[2J\n") as target:
        target.build("file", path=str(path), deleted=True)
        text = vmad("explain", target.pid, "--evidence", "procfs").stdout

    assert text.startswith(r"x\x1b[2J\x0a")
    assert all(char.isprintable() for char in text.replace("\n", ""))


@pytest.mark.bpf
@pytest.mark.parametrize("offset", ["100000", "-1"])
def test_start_times_are_those_of_the_time_namespace_that_vmad_runs_in(
    target: Target, offset: str
) -> None:
    """Of /proc and of BPF alike (time_namespaces(7))."""
    within = ["unshare", "--time", "--boottime", offset, "--fork"]
    told = []
    for evidence in ("kernel", "procfs"):
        command = [sys.executable, "-m", "vmad", "explain", str(target.pid), "--format", "json"]
        ran = subprocess.run(
            [*within, *command, "--evidence", evidence], capture_output=True, text=True, check=True
        )
        told.append(json.loads(ran.stdout)["start_time"])

    ticks = os.sysconf("SC_CLK_TCK") * int(offset)
    assert told[0] == told[1]
    assert abs(told[0] - target.start_time - ticks) <= 1
