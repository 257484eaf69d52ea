# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The processes under test: children of the bench that end with it, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from vmad.errors import VmadError

HERE = Path(__file__).parent
OUT = HERE / "out"

#: the program of target.c; at most 15 characters, so that the kernel shows it whole
TARGET = "vmad-target"


class CannotMeasure(VmadError):
    """A figure cannot be had here; one line with cause and remedy."""


def built_target() -> Path:
    """The program of target.c."""
    return built("target.c", TARGET)


def built(name: str, called: str) -> Path:
    """The program of a source here, compiled when it is older than that."""
    source, program = HERE / name, OUT / called
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    OUT.mkdir(exist_ok=True)
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise CannotMeasure(f"{source}: no C compiler", "install gcc or clang")
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return program


def wait_for_all(seconds: float = 60.0) -> None:
    """Until no child of ours is left. Where we are the first of a PID namespace orphans become
    ours, and whoever reads /proc reads them until somebody has waited for them.

    Raises CannotMeasure when one is still there after so many seconds.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return
    raise CannotMeasure("a process of one part of the benchmark is still there in the next")


class Children:
    """Starts processes; ends all of them, each by its pid, when the with block is left."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(list(self._running))

    def start(self, command: list[str], **how: Any) -> subprocess.Popen[Any]:
        """Popen; the kernel kills it should the bench be killed."""
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], **how)
        self._running.append(child)
        return child

    def end(self, children: list[subprocess.Popen[Any]]) -> None:
        """Kill these and wait for them."""
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        for child in children:
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._running.remove(child)

    def small(self, number: int) -> list[subprocess.Popen[Any]]:
        """``number`` processes that sleep."""
        return [self.start(["sleep", "7200"]) for _ in range(number)]

    def large(self, vmas: int, touched: bool = False) -> Large:
        """A process of about so many VMAs, ready."""
        return self.several_large(1, vmas, touched)[0]

    def several_large(self, number: int, vmas: int, touched: bool = False) -> list[Large]:
        """``number`` of them, made side by side."""
        command = [str(built_target()), str(vmas), *(["touch"] if touched else [])]
        large = [
            Large(
                self.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii")
            )
            for _ in range(number)
        ]
        for each in large:
            each.wait_until_ready()
        return large


class Large:
    """A running target.c."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def wait_until_ready(self) -> None:
        """Raises CannotMeasure when it could not make its VMAs."""
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise CannotMeasure(
                "a process with many VMAs could not be made", "is vm.max_map_count below 65530?"
            )

    def begin(self, seconds: float, pause_us: int) -> None:
        """Let it map and unmap for so long."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds} {pause_us}\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, float]:
        """What it measured since ``begin``."""
        assert self.process.stdout is not None
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found
