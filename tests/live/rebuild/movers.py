# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A target that notices what is done to it (mover.c), and the command that does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).with_name("mover.c")


class Report(NamedTuple):
    """One answer of the target: rounds of its threads, VMAs of its row and in all, open files."""

    reads: int
    adds: int
    receives: int
    wrong: int
    row: int
    vmas: int
    files: int


class Mover:
    """The running target."""

    def __init__(self, binary: Path, *arguments: object, **how: Any) -> None:
        self.process = subprocess.Popen(
            [binary, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **how,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def ask(self, what: str = "look") -> Report:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        assert len(words) == 7, f"the target is gone: status {self.process.wait()}"
        return Report(*map(int, words))

    def after_more_work(self) -> Report:
        """What it says once each thread has gone on: none is stuck."""
        before = self.ask()
        while True:
            now = self.ask()
            if all(new > old for old, new in zip(before[:3], now[:3], strict=True)):
                return now

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def heal(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmad", "heal", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def compiled(folder: Path, *flags: str) -> Path:
    """The target's binary."""
    binary = folder / "mover"
    strict = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread", *flags)
    subprocess.run(["gcc", *strict, "-o", binary, SOURCE], check=True)
    return binary
