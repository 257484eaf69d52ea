# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m vmad.selfcheck.builder``: builds conditions, each in a child of its own.

One line in, one JSON line out: ``build N`` (its index), ``toggle ADVICE ADVICE START LENGTH`` and
``rebuild`` in the child that stands, ``end``. The program is small, so that a fork of it is cheap.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from vmad.selfcheck.calls import advise, control
from vmad.selfcheck.conditions import CONDITIONS
from vmad.selfcheck.rebuild import rebuild

_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Serve until the end of stdin."""
    child = 0
    commands = -1
    control(_SET_CHILD_SUBREAPER, 1)
    for line in sys.stdin:
        words = line.split()
        match words[0]:
            case "build":
                _end(child)
                if commands >= 0:
                    os.close(commands)
                read_end, commands = os.pipe()
                child = os.fork()
                if child == 0:
                    os.close(commands)
                    _be(int(words[1]), read_end)
                os.close(read_end)
            case "toggle" | "rebuild":
                os.write(commands, line.encode())
            case "end":
                _end(child)
                child = 0
                tell({})


def _be(index: int, commands: int) -> None:
    """The child: builds, answers, then does as it is told."""
    os.setpgid(0, 0)
    try:
        CONDITIONS[index].build()
        tell({"pid": os.getpid()})
    except OSError as error:
        tell({"error": str(error)})
    with os.fdopen(commands) as lines:
        for line in lines:
            try:
                _do(line.split())
                tell({})
            except OSError as error:
                tell({"error": str(error)})
    os._exit(0)


def _do(words: list[str]) -> None:
    if words[0] == "rebuild":
        rebuild()
        return
    away, back, start, length = map(int, words[1:])
    advise(start, length, away)
    advise(start, length, back)


def _end(child: int) -> None:
    if child:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):  # those too whose parents have ended
            while True:
                os.waitpid(-child, 0)


def tell(answer: dict[str, Any]) -> None:
    """One line; short enough to be written at once."""
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
