# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process that fails far from vm.max_map_count is told so first, with the limit that it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("fails_elsewhere.py")


@contextmanager
def failed(mode: str) -> Iterator[tuple[int, str]]:
    """(pid, error) of a process that has failed and waits."""
    command = [sys.executable, str(PROGRAM), mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip()
        process.communicate()


def explain(pid: int, *words: str) -> str:
    command = [sys.executable, "-m", "vmad", "explain", str(pid), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def bounds(pid: int) -> dict[str, dict[str, Any]]:
    limits = json.loads(explain(pid, "--format", "json"))["other_limits"]
    return {bound["name"]: bound for bound in limits}


@pytest.mark.parametrize(
    ("mode", "error", "name", "change"),
    [
        ("as", "ENOMEM", "RLIMIT_AS", "--as=N"),
        ("memlock", "ENOMEM", "RLIMIT_MEMLOCK", "--memlock=N"),
        ("nproc", "EAGAIN", "RLIMIT_NPROC", "--nproc=N"),
    ],
)
def test_the_limit_that_it_is_stands_in_the_first_line(
    mode: str, error: str, name: str, change: str
) -> None:
    with failed(mode) as (pid, found):
        text = explain(pid)
        bound = bounds(pid)[name]

    first, _, rest = text.partition("\n")
    assert found == error
    assert "it is not this limit but maybe" in first
    assert name in first
    assert change in rest
    assert bound["in_force"]
    assert not bound["exempt"]
    assert error in bound["fails"]


def test_the_threads_of_a_user_are_counted() -> None:
    with failed("nproc") as (pid, _):
        bound = bounds(pid)["RLIMIT_NPROC"]

    assert (bound["used"], bound["limit"]) == (3, 3)


def test_a_process_near_nothing_is_told_that_too() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        first = explain(process.pid).partition("\n")[0]
        process.kill()

    assert "it is not this limit" in first
