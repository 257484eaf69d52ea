# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process whose first thread has exited goes on: every command finds its address space."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

EVIDENCES = [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"]
PIECES = 200
PAGE = mmap.PAGESIZE
EXIT = {"x86_64": 60, "aarch64": 93}[os.uname().machine]  #: ends one thread

#: maps pieces that alternate rw-p and r--p, says where, and ends its first thread alone (exit(2))
CHILD = f"""
import ctypes, os, sys, threading
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def live(ready):
    at = libc.mmap(None, {PIECES} * {PAGE}, 1, 0x22, -1, 0)
    for piece in range(0, {PIECES}, 2):
        assert libc.mprotect(at + piece * {PAGE}, {PAGE}, 3) == 0
        ctypes.memset(at + piece * {PAGE}, 1, 1)
    ready.wait()
    print(at, flush=True)
    sys.stdin.read()
    os._exit(0)

ready = threading.Event()
threading.Thread(target=live, args=(ready,)).start()
ready.set()
libc.syscall({EXIT}, 0)
"""


@dataclass(frozen=True)
class Leaderless:
    """The process, and where its pieces begin."""

    pid: int
    start: int

    @property
    def boundaries(self) -> set[str]:
        """Between its pieces."""
        return {hex(self.start + piece * PAGE) for piece in range(1, PIECES)}


@pytest.fixture
def process() -> Iterator[Leaderless]:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        start = int(child.stdout.readline())
        while ") Z " not in Path(f"/proc/{child.pid}/stat").read_text():
            os.sched_yield()
        yield Leaderless(child.pid, start)
        child.communicate()


def vmad(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(*words: object) -> dict[str, Any]:
    ran = vmad(*words, "--format", "json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_explain_and_scan_show_it(process: Leaderless, evidence: str) -> None:
    explained = answer("explain", process.pid, "--evidence", evidence)
    (scanned,) = answer("scan", process.pid, "--evidence", evidence)["processes"]
    everybody = answer("scan", "--all", "--evidence", evidence)["processes"]

    assert process.boundaries <= {pair["boundary"] for pair in explained["pairs"]}
    assert scanned["map_count"] == explained["map_count"] > PIECES
    assert scanned["start_time"] == explained["start_time"]
    (listed,) = [one for one in everybody if one["pid"] == process.pid]
    assert listed["pairs"] == scanned["pairs"]


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_its_files_pages_and_program_are_read_through_a_thread(
    process: Leaderless, evidence: str
) -> None:
    told = vmad("explain", process.pid, "--evidence", evidence, "--pages", "--pairs", "--advice")
    pages = answer("explain", process.pid, "--evidence", evidence, "--pages")

    assert (told.returncode, told.stderr) == (0, "")
    assert "were not read" not in told.stdout
    written = f"0x{process.start + 2 * PAGE:x}"
    (pair,) = [pair for pair in pages["pairs"] if pair["boundary"] == written]
    assert (pair["pages"]["a"]["present"], pair["pages"]["b"]["present"]) == (0, 1)


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_capture_records_it(process: Leaderless, tmp_path: Path, evidence: str) -> None:
    path = tmp_path / "capture"
    ran = vmad("capture", process.pid, "-o", path, "--evidence", evidence)
    explained = answer("explain", process.pid, "--from", path)

    assert ran.returncode == 0
    assert process.boundaries <= {pair["boundary"] for pair in explained["pairs"]}


@pytest.mark.traced
@pytest.mark.parametrize("evidence", EVIDENCES)
def test_probe_asks_through_a_thread_that_lives(process: Leaderless, evidence: str) -> None:
    boundary = hex(process.start + PAGE)
    asked = answer("probe", process.pid, "--boundary", boundary, "--evidence", evidence)

    assert [one["outcome"] for one in asked["answers"]] == ["apart"]
    assert asked["answers"][0]["agrees"] is not False


def test_a_process_without_any_thread_left_is_still_called_a_zombie() -> None:
    with subprocess.Popen(["true"]) as child:
        while ") Z " not in Path(f"/proc/{child.pid}/stat").read_text():
            os.sched_yield()
        for evidence in ("auto", "procfs"):
            ran = vmad("explain", child.pid, "--evidence", evidence)

            assert ran.returncode == 3
            assert "is a zombie: its address space is gone" in ran.stderr
