# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One kernel of the matrix: booted, every step run in it, its results taken as they come."""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.machines import architecture_named, this_machine
from vmad.lab.matrix.order import Order, StepResult
from vmad.lab.matrix.row import Row
from vmad.lab.run import BOOT_TIMEOUT, run_streaming


def run_kernel(
    kernel: str,
    order: Order,
    *,
    root: Path,
    told: Callable[[str], None] = lambda line: None,
) -> Row:
    """Boot one kernel and run the steps in it; whatever happens becomes part of the row."""
    row = Row(kernel)
    script = f'cd "{root}" && uname -r && exec "$@"'
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "vmad.lab.matrix.inside"]
    argv += [order.to_json(), *_compiled(kernel, root, order.steps)]
    stdout, stderr = _Lines(lambda line: _take(row, line, told)), bytearray()
    began, used = time.monotonic(), _cpu_seconds()
    try:
        ending = run_streaming(
            kernel,
            argv,
            machine=Machine(memory=1024 * MIB, cpus=2),
            timeout=BOOT_TIMEOUT + order.limit * (len(order.steps) + 1),
            out_dir=None,
            stdin=b"",
            stdout=stdout.feed,
            stderr=stderr.extend,
        )
        row.boot_seconds = ending.boot_seconds
        if ending.status != 0:
            row.error = f"the guest's program ended with status {ending.status}"
    except LabError as error:
        row.error, row.console = str(error), error.console
        told(f"{row.kernel}: {row.error}")
    row.said = bytes(stderr[-6000:]).decode(errors="replace")
    row.seconds, row.cpu_seconds = time.monotonic() - began, _cpu_seconds() - used
    return row


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _compiled(kernel: str, root: Path, steps: Sequence[str]) -> list[str]:
    """The differential executor, compiled here: a compiler takes half a minute in a guest.

    It lies in /tmp; a word of the command that is an absolute path is seen in the guest. One of
    another architecture compiles its own.
    """
    if "differential" not in steps or architecture_named(kernel) is not this_machine():
        return []
    sys.path.insert(0, str(root))
    executor = importlib.import_module("tests.differential.executor")
    return [str(executor.compiled())]


class _Lines:
    """Cuts what comes in into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, content: bytes) -> None:
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))


def _take(row: Row, line: str, told: Callable[[str], None]) -> None:
    if not row.release:
        row.release = line.strip()
        return
    fields = json.loads(line)
    name, result = fields["step"], StepResult.of(fields)
    row.steps[name] = result
    word = "ok" if result.ok else "FAILED"
    told(f"{row.kernel}: {name} {word} after {result.seconds:.0f} s  {result.summary}")
    if not result.ok:
        told(result.detail)
