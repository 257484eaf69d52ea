# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kill -9 while state is written: ``python -m tests.siege.killed_writers --kills 1000``.

A child writes the state as the daemon does, one generation after the other, and says which is
written; it is killed at a moment of chance, and what it left has to be a whole state, not older
than the last that it called written. The next child goes on in the same directory.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vmad.daemon.marks_file import MarksFile
from vmad.daemon.state import StateFile
from vmad.scan.inheritance import INHERITED
from vmad.scan.marks import Mark

#: rows and groups: about a megabyte, so that a write has a middle
PROCESSES, GROUPS = 8_000, 500
#: seconds: longer than a generation takes to write
MOST_WAIT = 0.03
_WORD = struct.Struct("q")


@dataclass
class Toll:
    """What came of so many kills."""

    kills: int = 0
    half_written: int = 0  #: a file that was being made lay there
    generations: int = 0


def siege(directory: Path, kills: int, seed: int) -> Toll:
    """Raises AssertionError where a kill left anything but a whole state."""
    chance = random.Random(seed)
    toll = Toll()
    for _ in range(kills):
        written = _written_until_killed(directory, toll.generations, chance.random() * MOST_WAIT)
        toll.kills += 1
        toll.half_written += any(directory.glob("*.new"))
        whole = generations(directory)
        for name, generation in whole.items():
            assert written <= generation <= written + 1, (name, generation, written)
        toll.generations = max(whole.values())
    return toll


def generations(directory: Path) -> dict[str, int]:
    """Of the history and of the marks, each of one generation throughout."""
    rows = StateFile(directory / "history", "boot").read()
    assert rows is not None, "the history was lost"
    (history,) = np.unique(rows["high_water"])
    marks = MarksFile(directory / "marks").read()
    assert len(marks) == GROUPS, "the marks were lost"
    ((generation,),) = {tuple(mark.count for mark in steps) for steps in marks.values()}
    assert len(rows) == PROCESSES
    assert not list(directory.glob("*.damaged"))
    return {"history": int(history), "marks": int(generation)}


def _written_until_killed(directory: Path, last: int, wait: float) -> int:
    """The last generation that a child called written before it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _write_for_ever(directory, last, write)
        finally:
            os._exit(1)
    os.close(write)
    # one generation at least, so that there is something to lose; then at any moment
    said = os.read(read, _WORD.size)
    select.select([], [], [], wait)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(read, 1 << 16):
        said += more
    os.close(read)
    assert said, "the writer failed"
    return int(_WORD.unpack(said[-_WORD.size :])[0])


def _write_for_ever(directory: Path, last: int, acknowledge: int) -> None:
    history, marks = StateFile(directory / "history", "boot"), MarksFile(directory / "marks")
    rows = np.zeros(PROCESSES, INHERITED)
    rows["pid"] = np.arange(1, PROCESSES + 1)
    while True:
        last += 1
        rows["high_water"] = last
        history.write(rows)
        marks.write({f"group {number}": [Mark(last, 1.0)] for number in range(GROUPS)})
        os.write(acknowledge, _WORD.pack(last))


def main() -> int:
    """Print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege.killed_writers")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        toll = siege(Path(directory), arguments.kills, arguments.seed)
    print(
        f"{toll.kills} kills, {toll.half_written} in the middle of a file, {toll.generations} "
        f"generations, every state whole; {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
