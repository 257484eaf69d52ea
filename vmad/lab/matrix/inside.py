# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guest's side of the matrix: every step in a forked process, one line of JSON for each.

    python3 -m vmad.lab.matrix.inside '{"steps": [...], "slice": {...}, "limit": SECONDS}'

Under software emulation importing NumPy and pytest takes ten seconds, so that it is done once; the
steps are forked from there, and none can disturb another. A step that hangs is killed after
``limit`` seconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

from vmad.errors import VmadError
from vmad.lab.matrix.order import Order, Slice, StepResult
from vmad.lab.matrix.steps import STEPS, warm_up


def run_step(name: str, part: Slice, limit: float) -> StepResult:
    """Fork, run the step there, bring back its result."""
    began = time.monotonic()
    answer, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(answer)
        _in_the_child(name, part, theirs)
    os.close(theirs)
    got = _read_until(answer, began + limit)
    os.close(answer)
    if got is None:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    if got is None:
        return StepResult(False, f"killed after {limit:g} s", "it had not ended", seconds)
    try:
        result = StepResult.of(json.loads(got))
    except ValueError:
        how = os.waitstatus_to_exitcode(status)
        return StepResult(False, f"died with {how}", "it left no result", seconds)
    return replace(result, seconds=seconds)


def _in_the_child(name: str, part: Slice, theirs: int) -> None:
    # A group of its own, so that what a step leaves running dies with it. What steps and their
    # children print goes to stderr: stdout is for results.
    os.setpgid(0, 0)
    os.dup2(2, 1)
    try:
        result = STEPS[name](part)
    except VmadError as error:
        result = StepResult(False, str(error))
    except BaseException as error:
        lines = traceback.format_exc()
        result = StepResult(False, f"{type(error).__name__}: {error}"[:200], lines)
    with os.fdopen(theirs, "w", encoding="utf-8") as pipe:
        pipe.write(result.to_json())
    os._exit(0)


def _read_until(descriptor: int, deadline: float) -> bytes | None:
    got = b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(descriptor, 65536)
        if not part:
            return got
        got += part
    return None


def main(argv: Sequence[str]) -> int:
    """Run the steps that the argument names, each a line on stdout as it ends."""
    order = Order.from_json(argv[0])
    sys.path.insert(0, os.getcwd())
    os.environ["PYTHONPATH"] = f"{os.getcwd()}:{os.environ.get('PYTHONPATH', '')}"
    warm_up()
    for name in order.steps:
        result = run_step(name, order.slice, order.limit)
        print(result.to_json(step=name), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
