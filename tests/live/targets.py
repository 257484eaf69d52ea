# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Real children with real pairs: what live tests look at.

    with Target() as target:
        made = target.build("moved_beside_unfaulted")
        made.pid, made.start, made.boundary, made.end     # boundary: start of B
        target.build("guard_pages", pairs=30_000)         # any number of layouts per child

The layouts and what the kernel then has to say of each are the functions of layouts.py, called by
their names with their keyword arguments. A layout that this kernel cannot make raises
LayoutRefused with the errno (for example EINVAL for ``named`` without CONFIG_ANON_VMA_NAME).

The forked layouts report the fork child's pid in ``made.pid`` and ours in ``made.parent``; it
lives as long as its parent. A fork shares everything that the child wrote before: use a Target of
its own for a layout whose pages or anon_vmas must be exclusive.

The child sits between requests in read(2): its address space stands still.
``target.run("…python…")`` executes a statement in the child, with layouts.py as globals, for what
no layout covers; ``target.stop()`` ends it (also at the end of the with block).

Run as a program (``targets.py --child``) this file is that child: JSON lines in, JSON lines out.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


class LayoutRefused(Exception):
    """The kernel refused a system call of a layout; ``errno`` says why."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True, slots=True)
class Made:
    """A layout as it stands in process ``pid``: bytes [start, end), B begins at ``boundary``."""

    pid: int
    start: int
    boundary: int
    end: int
    parent: int | None = None


def start_time_of(pid: int) -> int:
    """Field 22 of /proc/PID/stat, clock ticks since boot."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


class Target:
    """A child process that builds layouts on request and otherwise stands still."""

    def __init__(self, comm: str | None = None) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._child.pid
        self._ask({"run": "pass"})
        if comm is not None:
            self.run(f"open('/proc/self/comm', 'wb').write({os.fsencode(comm)!r})")
        self.start_time = start_time_of(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request).encode() + b"\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        if "error" in answer:
            raise LayoutRefused(answer["error"], answer["errno"])
        return answer

    def build(self, layout: str, **arguments: Any) -> Made:
        """Build a layout of layouts.py; raises LayoutRefused where the kernel refuses it."""
        return Made(**self._ask({"layout": layout, "arguments": arguments}))

    def run(self, statement: str) -> None:
        """Execute Python in the child, with everything of layouts.py at hand."""
        self._ask({"run": statement})

    def stop(self) -> None:
        """End the child and its fork children, and wait for it."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


def _serve() -> None:
    """The child's loop: one JSON line per request, one per answer."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # -I leaves it out
    layouts = importlib.import_module("tests.live.layouts")

    free = layouts.BASE
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if "run" in request:
                exec(request["run"], vars(layouts))
                answer = {}
            else:
                at, free = free, free + layouts.STRIDE
                made = layouts.LAYOUTS[request["layout"]](at, **request["arguments"])
                answer = {"start": at, "end": at + 2 * layouts.HALF, "pid": os.getpid()}
                answer |= {"boundary": at + layouts.HALF} | (made or {})
        except OSError as error:
            answer = {"error": str(error), "errno": error.errno or 0}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__" and sys.argv[1:] == ["--child"]:
    _serve()
