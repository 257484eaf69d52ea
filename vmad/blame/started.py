# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A program that waits, already a process, until somebody watches it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from vmad.blame.last_moment import LastMoment
from vmad.errors import VmadError


class Started:
    """A child that has forked and not yet become ``command``; ``go_on`` lets it.

    On exit a command that still runs is told to end (SIGTERM).
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        wait, self._gate = os.pipe()
        self._failure, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(wait, tell)
        os.close(wait)
        os.close(tell)
        self.last_moment = LastMoment(self.pid)

    def _become(self, wait: int, tell: int) -> None:
        """In the child; does not return."""
        try:
            os.close(self._gate)
            if os.read(wait, 1):
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.execvp(self._command[0], list(self._command))
        except OSError as error:
            os.write(tell, str(error.errno or 0).encode())
        finally:
            os._exit(127)

    def go_on(self) -> None:
        """Let it become the command. Raises VmadError where there is no such program."""
        os.write(self._gate, b"x")
        os.close(self._gate)
        self._gate = -1
        number = os.read(self._failure, 16)  # closed by execve
        if number:
            self._end()
            raise VmadError(f"cannot run {self._command[0]}: {os.strerror(int(number))}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._gate >= 0:
            os.close(self._gate)  # it ends without having become anything
        os.close(self._failure)
        self._end()

    def _end(self) -> None:
        """It may end; where it does not, it is told to."""
        over = self.last_moment.reached.is_set()
        self.last_moment.let_go()
        with suppress(ProcessLookupError, ChildProcessError):
            if not over:
                os.kill(self.pid, signal.SIGTERM)
            self.last_moment.join()
            os.waitpid(self.pid, 0)
