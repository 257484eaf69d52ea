# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad probe`` as a user runs it: what it answers, refuses, and leaves behind."""

from __future__ import annotations

import json
import mmap
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests import other_users
from tests.live.targets import Target
from vmad.architecture.known import needed

#: kills whoever calls madvise, as a probe does
FILTER = f"""
import ctypes, struct
program = struct.pack('HBBI', 0x20, 0, 0, 0)
program += struct.pack('HBBI', 0x15, 0, 1, {needed(os.uname().machine, "tracing").calls.madvise})
program += struct.pack('HBBI', 0x06, 0, 0, 0x80000000) + struct.pack('HBBI', 0x06, 0, 0, 0x7fff0000)
text = ctypes.create_string_buffer(program, len(program))
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 4, ctypes.addressof(text)))
checked(libc.prctl(38, 1, 0, 0, 0), 'no_new_privs')
checked(libc.prctl(22, 2, ctypes.addressof(filter), 0, 0), 'seccomp')
"""


def vmad(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def probed(pid: int, boundary: int, *words: object) -> dict[str, Any]:
    ran = vmad("probe", pid, "--boundary", hex(boundary), "--format", "json", *words)
    assert ran.stdout, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    (answer,) = document["answers"]
    answered: dict[str, Any] = answer
    return answered


def vm_flags(pid: int) -> list[str]:
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        return [line for line in file if line.startswith("VmFlags")]


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as child:
        yield child


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
@pytest.mark.parametrize(
    ("layout", "outcome"),
    [
        ("faulted_apart", "apart"),
        ("dontunmap", "merged"),
        ("moved_beside_unfaulted", "apart"),
        ("uffd_forked", "merged"),
        ("fork_child_fresh", "apart"),
        ("hint_differs", "apart"),
    ],
)
def test_the_kernel_answers(target: Target, layout: str, outcome: str, evidence: str) -> None:
    made = target.build(layout)
    answer = probed(made.pid, made.boundary, "--evidence", evidence)

    assert answer["outcome"] == outcome
    assert answer["agrees"] is not False


def test_a_pair_that_stays_apart_is_left_as_it_was(target: Target) -> None:
    made = target.build("faulted_apart")
    before = vm_flags(made.pid)
    probed(made.pid, made.boundary)

    assert vm_flags(made.pid) == before


def test_all_pairs_agree_with_their_verdicts(target: Target) -> None:
    for layout in ("guard_pages", "faulted_apart", "dontunmap", "noreserve", "mempolicy"):
        target.build(layout)
    ran = vmad("probe", target.pid)

    assert ran.returncode == 0
    assert "0 against the verdict" in ran.stdout


def test_a_boundary_that_is_no_pair_is_refused_with_the_reason(target: Target) -> None:
    made = target.build("faulted_apart")
    ran = vmad("probe", made.pid, "--boundary", hex(made.boundary + mmap.PAGESIZE))

    assert ran.returncode == 1
    assert "lies inside" in ran.stdout


def test_a_traced_target_is_refused(target: Target) -> None:
    made = target.build("faulted_apart")
    code = (
        "import ctypes,sys\n"
        f"libc=ctypes.CDLL(None);assert libc.ptrace(0x4206,{made.pid},None,None)==0\n"
        "print('seized',flush=True);sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == b"seized\n"
        ran = vmad("probe", made.pid, "--boundary", hex(made.boundary))
        tracer.communicate()

    assert ran.returncode == 1
    assert f"traced already by process {tracer.pid}" in ran.stderr


def test_a_seccomp_filter_is_suspended_meanwhile(target: Target) -> None:
    made = target.build("dontunmap")
    target.run(FILTER)
    answer = probed(made.pid, made.boundary)
    target.run("pass")

    assert answer["outcome"] == "merged"


def test_a_pid_that_is_gone_is_said_so() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    ran = vmad("probe", child.pid)

    assert ran.returncode == 3
    assert "no process" in ran.stderr


def test_the_right_that_is_missing_is_named(target: Target) -> None:
    made = target.build("faulted_apart")
    command = [*other_users.as_nobody(), other_users.python(), "-m", "vmad.probe"]
    request = json.dumps({"pid": made.pid, "boundaries": [made.boundary], "max_stop": 0.05})
    ran = subprocess.run(
        command,
        input=request + "\n",
        env=os.environ | {"PYTHONPATH": str(other_users.packages())},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 3
    assert "CAP_SYS_PTRACE" in ran.stdout


def test_the_probe_program_refuses_what_is_not_a_request() -> None:
    command = [sys.executable, "-m", "vmad.probe"]
    ran = subprocess.run(command, input="{", capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert "not a request" in ran.stdout


def at_terminal(answer: bytes, *words: object) -> tuple[int, str]:
    """Run vmad on a terminal where a person types ``answer``: exit status, and what was shown."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: the other end is closed (pty(7))
            while chunk := os.read(ours, 65536):
                shown += chunk
    os.close(ours)
    return child.returncode, shown.decode()


#: enough for procfs evidence to take more than half a second of standing still; its cost grows with
#: the square of the pairs
PAIRS = 90
MANY = ("--evidence", "procfs", "--max-stop", "200")


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
def test_a_person_is_asked_before_a_long_stop_and_may_decline(
    target: Target, answer: bytes
) -> None:
    target.build("guard_pages", pairs=PAIRS)
    before = vm_flags(target.pid)
    status, shown = at_terminal(answer, "probe", target.pid, *MANY)

    assert status == 1
    assert "will stand still for about " in shown
    assert "up to 200 ms at a time" in shown
    assert "go on? [y/N]" in shown
    assert "nothing was asked, the process was not stopped" in shown
    assert vm_flags(target.pid) == before


def test_a_person_who_says_yes_gets_the_answers_and_the_whole_stop(target: Target) -> None:
    target.build("guard_pages", pairs=PAIRS)
    asked = at_terminal(b"y\n", "probe", target.pid, *MANY)
    unasked = at_terminal(b"", "probe", target.pid, *MANY, "--yes")

    for status, shown in (asked, unasked):
        assert status == 0
        assert " in all." in shown
        assert "0 against the verdict" in shown
    assert "go on?" in asked[1]
    assert "go on?" not in unasked[1]


def test_a_script_is_told_and_not_asked(target: Target) -> None:
    target.build("guard_pages", pairs=PAIRS)
    ran = vmad("probe", target.pid, *MANY)

    assert ran.returncode == 0
    assert "will stand still for about " in ran.stderr
    assert "go on?" not in ran.stderr


@pytest.mark.bpf
@pytest.mark.parametrize("words", [(), ("--apply",)])
def test_where_there_is_nothing_to_heal_nothing_is_advised(
    target: Target, words: tuple[str, ...]
) -> None:
    ran = vmad("heal", target.build("faulted_apart").pid, *words)

    assert ran.returncode == 0
    assert "Nothing to heal: no pair of it would merge." in ran.stdout
    assert "--apply" not in ran.stdout


def test_heal_says_how_long_the_process_would_stand_still(target: Target) -> None:
    ran = vmad("heal", target.build("dontunmap").pid)

    assert "stands still for about" in ran.stdout
    assert "--apply does" in ran.stdout
