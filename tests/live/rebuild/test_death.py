# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad dies while its code runs: the other threads of the process meet nothing that is on its way.

The kernel frees tracees one after the other, and some time after the signal; here all of them but
the borrowed one are freed first, at once, which is the worst order.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

SOURCE = Path(__file__).with_name("replacing.c")
PIECES, DEATHS = 600, 6

#: for each line on stdin: a child rebuilds, frees all other threads once the code runs, and dies
DIE_EARLY = """
import os, signal, sys
from ptrace.binding.func import PTRACE_DETACH
import vmad.probe.visit as visit
from vmad.probe.calls import call
from vmad.probe.rebuild import RebuildSession
pid, start, end = map(int, sys.argv[1:])
session = RebuildSession(pid, max_stop=0.5)
def die(borrowed, flag):
    for tid in map(int, os.listdir(f"/proc/{pid}/task")):
        if tid != borrowed.tid:
            call(PTRACE_DETACH, tid)
    os.kill(os.getpid(), signal.SIGKILL)
visit.Visit._await_done = die
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        for stop in session.rebuild([(start, end)], lambda: False):
            pass
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Report(NamedTuple):
    """An answer of the target."""

    replaced: int
    children: int
    wrong: int
    vmas: int
    files: int


class Replacing:
    """The running target."""

    def __init__(self, folder: Path) -> None:
        binary = folder / "replacing"
        flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
        subprocess.run(["gcc", *flags, "-o", binary, SOURCE], check=True)
        self.process = subprocess.Popen(
            [binary, str(PIECES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def ask(self) -> Report:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        assert len(words) == 5, f"the target is gone: status {self.process.wait()}"
        return Report(*map(int, words))

    def after_more_work(self, files: int) -> Report:
        """What it says once its threads have gone on and ours has closed its files."""
        before = self.ask()
        while True:
            now = self.ask()
            on = now.replaced > before.replaced and now.children > before.children
            if on and now.files == files:
                return now


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Replacing]:
    running = Replacing(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()


def test_nobody_meets_what_is_on_its_way(target: Replacing) -> None:
    files = target.ask().files
    start = 0x2000_0000_0000
    where = map(str, (target.pid, start, start + PIECES * 2 * mmap.PAGESIZE))
    with subprocess.Popen(
        [sys.executable, "-c", DIE_EARLY, *where],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as dying:  # fmt: skip
        assert dying.stdin is not None
        assert dying.stdout is not None
        for _ in range(DEATHS):
            dying.stdin.write("\n")
            dying.stdin.flush()
            assert dying.stdout.readline() == "9\n"  # it died there
            assert target.after_more_work(files).wrong == 0
        dying.stdin.close()
