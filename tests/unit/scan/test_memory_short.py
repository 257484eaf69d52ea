# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Memory that is short at any line of a scan, a sample or a recount leaves nothing behind."""

from __future__ import annotations

import linecache
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import vmad.scan
from tests.unit.scan.test_scans_in_steps import Host, changed_a_little, totals
from vmad.config import load_config
from vmad.scan.scanner import Scanner

SCAN = str(Path(vmad.scan.__file__).parent)


def _enters_or_leaves(frame: FrameType) -> bool:
    """Whether a lock is taken or given back there, between which and its `with` nothing fails."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return line.startswith(("with ", "try:", "finally:")) or "judging." in line


class OutOfMemory:
    """A context in which the n-th line that vmad/scan runs finds no memory."""

    def __init__(self, line: int) -> None:
        self.left = line

    def _line(self, frame: FrameType, event: str, argument: object) -> object:
        if event == "line" and not _enters_or_leaves(frame):
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise MemoryError
        return self._line

    def _call(self, frame: FrameType, event: str, argument: object) -> object:
        return self._line if frame.f_code.co_filename.startswith(SCAN) else None

    def __enter__(self) -> OutOfMemory:
        self._before = sys.gettrace()
        sys.settrace(self._call)  # type: ignore[arg-type]
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)


def scanner_of(host: Host) -> Scanner:
    return Scanner(host, load_config(None), "here")


def at_work(seed: int) -> tuple[Host, Scanner, random.Random]:
    """A host, its scanner after two scans, and what has changed since."""
    host, chance = Host(), random.Random(seed)
    for _ in range(8):
        changed_a_little(host, chance)
    scanner = scanner_of(host)
    scanner.scan(True)
    changed_a_little(host, chance)
    scanner.scan(False)
    changed_a_little(host, chance)
    return host, scanner, chance


def _recounted(scanner: Scanner) -> None:
    scanner.samples.take()
    scanner.newest.recount()


WORK: dict[str, Callable[[Scanner], object]] = {
    "scan": lambda scanner: scanner.scan(False),
    "sample": lambda scanner: scanner.samples.take(),
    "recount": _recounted,
}


@pytest.mark.parametrize("work", WORK)
def test_what_comes_after_is_right(work: str) -> None:
    """A daemon looks at everybody after a scan that failed, and goes on after a sample."""
    line, failed = 1, 0
    while True:
        host, scanner, chance = at_work(line % 5)
        try:
            with OutOfMemory(line) as memory:
                WORK[work](scanner)
        except MemoryError:
            failed += 1
        if memory.left > 0:
            break  # it is over before that line
        changed_a_little(host, chance)
        now = scanner.scan(work == "scan")

        assert totals(now) == totals(scanner_of(host).scan(True)), line
        changed_a_little(host, chance)
        scanner.samples.take()
        assert totals(scanner.scan(False)) == totals(scanner_of(host).scan(True)), line
        line += 1 + line // 40
    assert failed > 20
