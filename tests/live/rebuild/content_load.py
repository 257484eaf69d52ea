# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.live.rebuild.content_load``: rebuilds of a process that never rests.

Its threads write, read by system calls, fork, move, replace and unmap all the while and know every
byte (content.c); it is rebuilt again and again, with stops of random length, and one rebuild in
four is killed at a random moment. Seconds in the tests, ten minutes by hand (make load-rebuild).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vmad.model.process import ProcessId
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import rebuild_runs
from vmad.sources.choose import open_source
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import Source

SOURCE = Path(__file__).with_name("content.c")
PIECES, PAGES, THREADS = 96, 16, 3
KILLED_EVERY = 4
#: seconds; its threads are three, and each has to be given a processor to stop
SHORTEST_STOP, LONGEST_STOP = 0.01, 0.2
#: seconds after the target was found, within which a rebuild is killed: it takes some stops
KILLED_WITHIN = 0.03


class Report(NamedTuple):
    """An answer of the target."""

    calls: int
    looks: int
    wrong: int
    wrong_children: int
    row: int
    vmas: int
    files: int


class Content:
    """The running target; a context."""

    def __init__(self, binary: Path, seed: int) -> None:
        self._process = subprocess.Popen(
            [binary, *map(str, (PIECES, PAGES, THREADS, seed))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline())

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def ask(self) -> Report:
        """What it has seen so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        words = self._process.stdout.readline().split()
        assert len(words) == 7, f"the target is gone: status {self._process.wait()}"
        return Report(*map(int, words))

    def after(self, calls: int) -> Report:
        """The same, once its threads have made so many more calls."""
        before = self.ask().calls
        while (now := self.ask()).calls < before + calls:
            pass
        return now


@dataclass
class Load:
    """What was done to the target, and what it has seen."""

    seconds: float = 0.0
    rebuilds: int = 0
    killed: int = 0
    #: VMAs and parts by what came of them, errors by their class
    vmas: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    before: Report | None = None
    after: Report | None = None


def compiled(folder: Path) -> Path:
    """The target's binary."""
    binary = folder / "content"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
    subprocess.run(["gcc", *flags, "-o", binary, SOURCE], check=True)
    return binary


def rebuild_once(pid: int, source: Source, pick: random.Random, load: Load) -> None:
    """Rebuild all runs that stand there now, or be killed in the middle."""
    table = source.table(ProcessId(pid, read_stat(pid).start_time))
    runs = rebuild_runs(table, RebuildRules(source.kernel)).runs
    if not runs:
        return
    request = {
        "pid": pid,
        "runs": [(run.start, run.end) for run in runs],
        "max_stop": pick.uniform(SHORTEST_STOP, LONGEST_STOP),
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "vmad.probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps(request).encode() + b"\n")
        program.stdin.close()
        events = iter(program.stdout.readline, b"")
        if pick.randrange(KILLED_EVERY) == 0 and json.loads(next(events))["event"] == "target":
            time.sleep(pick.uniform(0, KILLED_WITHIN))
            program.kill()
        for line in events:
            if line.endswith(b"\n"):
                note(json.loads(line), load)
    load.rebuilds += 1
    load.killed += program.returncode < 0


def note(event: dict[str, object], load: Load) -> None:
    """Add what one event says."""
    if event["event"] == "error":
        load.errors[str(event["kind"])] += 1
    for part in event.get("rebuilt", ()):  # type: ignore[attr-defined]
        outcome = f"{part['outcome']}: {part['why']}" if part["why"] else part["outcome"]
        load.parts[outcome] += 1
        load.vmas[outcome] += part["vmas"]


def run(binary: Path, seconds: float, seed: int) -> Load:
    """Start a target, rebuild it for so long, and let it look at everything."""
    pick = random.Random(seed)
    load = Load()
    source = open_source("kernel", None)
    try:
        with Content(binary, seed) as target:
            load.before = target.after(10_000)
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                rebuild_once(target.pid, source, pick, load)
                target.ask()
            load.seconds = time.monotonic() - began
            # the borrowed thread of a killed rebuild waits a second for its tracer
            load.after = target.after(10_000)
            while load.after.files > load.before.files:
                load.after = target.after(10_000)
    finally:
        source.close()
    return load


def told(load: Load) -> str:
    """For people."""
    assert load.before is not None
    assert load.after is not None
    return (
        f"{load.rebuilds:,} rebuilds in {load.seconds:,.0f} s, {load.killed:,} of them killed; "
        f"VMAs {dict(load.vmas)}, parts {dict(load.parts)}, refused {dict(load.errors)}\n"
        f"the target: {load.after.calls - load.before.calls:,} calls, "
        f"{load.after.looks - load.before.looks:,} pages looked at, {load.after.wrong} wrong, "
        f"{load.after.wrong_children} children saw something wrong; files "
        f"{load.before.files} → {load.after.files}"
    )


def main() -> int:
    """0: no byte was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        load = run(compiled(Path(folder)), arguments.seconds, arguments.seed)
    print(told(load))
    assert load.after is not None
    return 1 if load.after.wrong or load.after.wrong_children else 0


if __name__ == "__main__":
    sys.exit(main())
