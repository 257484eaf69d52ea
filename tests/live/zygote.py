# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that are forked from one waiting child: as targets.py, without a new interpreter each.

Starting Python takes longer than most tests do, above all in a guest without KVM. What a forked
target maps is as fresh as anybody's: an anon_vma made after the fork has no other root.

Run as a program (``zygote.py --zygote SOCKET``) this file is that child.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

if __name__ == "__main__":  # -I leaves it out
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.live import targets


class _Forked:
    """What Target wants of a subprocess.Popen."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self.stdin: IO[bytes] = self._socket.makefile("wb")
        self.stdout: IO[bytes] = self._socket.makefile("rb")
        self.pid = int(self.stdout.readline())

    def kill(self) -> None:
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._socket.shutdown(socket.SHUT_RDWR)  # ends the fork child that goes on in its place

    def wait(self) -> None:
        while Path(f"/proc/{self.pid}").exists():
            os.sched_yield()
        self._socket.close()


class ForkedTarget(targets.Target):
    """A target with the layouts of layouts.py and kernel_targets.py."""

    _zygote: subprocess.Popen[bytes] | None = None
    _path = ""

    def __init__(self) -> None:
        if ForkedTarget._zygote is None:
            ForkedTarget._start()
        self._child = _Forked(ForkedTarget._path)  # type: ignore[assignment]
        self.pid = self._child.pid
        self.start_time = targets.start_time_of(self.pid)

    @classmethod
    def _start(cls) -> None:
        directory = tempfile.TemporaryDirectory(prefix="vmad-zygote-")
        cls._path = f"{directory.name}/socket"
        cls._zygote = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--zygote", cls._path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert cls._zygote.stdout is not None
        cls._zygote.stdout.readline()  # it listens

        def end(zygote: subprocess.Popen[bytes] = cls._zygote) -> None:
            zygote.kill()
            zygote.wait()
            directory.cleanup()

        atexit.register(end)

    def send(self, statement: str) -> None:
        """Execute Python in the child, which will not answer."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"run": statement}).encode() + b"\n")
        self._child.stdin.flush()


def _listen(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    sys.stdout.write("\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            break
        connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    connection.close()
    os.write(1, b"%d\n" % os.getpid())
    targets._serve()
    os._exit(0)


if __name__ == "__main__" and sys.argv[1:2] == ["--zygote"]:
    importlib.import_module("tests.live.kernel_targets")

    _listen(sys.argv[2])
