# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad probe`` as a user runs it: what it answers, refuses, and leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from targets import Target

STACK_OF_FILTER = """
import ctypes, struct
program = struct.pack('HBBI', 0x20, 0, 0, 0) + struct.pack('HBBI', 0x15, 0, 1, 28)
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
    ran = vmad("probe", made.pid, "--boundary", hex(made.boundary + 4096))

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
    target.run(STACK_OF_FILTER)
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
    command = [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
        sys.executable, "-m", "vmad.probe",
    ]  # fmt: skip
    request = json.dumps({"pid": made.pid, "boundaries": [made.boundary], "max_stop": 0.05})
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        command, input=request + "\n", capture_output=True, text=True, check=False, env=environment
    )

    assert ran.returncode == 3
    assert "CAP_SYS_PTRACE" in ran.stdout


def test_the_probe_program_refuses_what_is_not_a_request() -> None:
    command = [sys.executable, "-m", "vmad.probe"]
    ran = subprocess.run(command, input="{", capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert "not a request" in ran.stdout
