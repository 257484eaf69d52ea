# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs in a guest: rebuilds of every kind, in one program, as a start of Python is dear there.

    python3 -m tests.vm.rebuilds_inside FOLDER SECONDS [PART...]

FOLDER has the binaries. Says a line for each part that has ended, and a traceback where something
is wrong.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import vmad.probe.calls
import vmad.probe.inject
import vmad.probe.tracing
import vmad.probe.visit
from tests.differential.executor import Executor
from tests.differential.fuzz_rebuild import program_of
from tests.differential.rebuild_trial import RebuildTrial
from tests.live.rebuild.content_load import Content
from tests.live.rebuild.movers import Mover
from vmad.errors import VmadError
from vmad.model.process import ProcessId
from vmad.probe.rebuild import RebuildSession
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import rebuild_runs
from vmad.sources.choose import open_source
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import Source

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "tests" / "live" / "rebuild"
EXAMPLE = ROOT / "examples" / "rebuild"
#: seconds; emulated, and watched by the kernel itself, everything takes its time
MAX_STOP = 2.0
CASES = (
    "plain", "natural offset", "something below", "flags", "locked", "unlike flags", "hole", "huge",
    "pinned", "at the limit", "near the limit", "without room", "where the kernel maps", "others",
)  # fmt: skip
JOINED = ("16 8 4", "50 16 7", "8 1024 2 huge", "16 8 4 forked", "17 8 17 late")
PIECES = 64
#: of the calls of ptrace at which a rebuild is killed, every so many is tried
KILLED_EVERY = 3
#: seconds within which a rebuild of a process that never rests is killed
KILLED_WITHIN = 1.0


def binaries(folder: Path) -> None:
    """Compile what the parts run."""
    sources: dict[str, tuple[object, ...]] = {
        "cases": (f"-I{EXAMPLE}", LIVE / "cases.c", EXAMPLE / "rebuild.c"),
        "moves": (ROOT / "bench" / "moves.c",),
        "mover": (LIVE / "mover.c",),
        "content": (LIVE / "content.c",),
    }
    for name, words in sources.items():
        flags = ("gcc", "-O2", "-pthread", "-o", str(folder / name))
        subprocess.run([*flags, *map(str, words)], check=True)


def runs_of(pid: int, source: Source) -> list[tuple[int, int, int]]:
    """(start, end, VMAs) of what a rebuild would make one."""
    table = source.table(ProcessId(pid, read_stat(pid).start_time))
    found = rebuild_runs(table, RebuildRules(source.kernel)).runs
    return [(run.start, run.end, run.vmas) for run in found]


def rebuild(pid: int, runs: list[tuple[int, int, int]]) -> Counter[str]:
    """VMAs by what came of them."""
    session = RebuildSession(pid, max_stop=MAX_STOP)
    vmas: Counter[str] = Counter()
    try:
        for stop in session.rebuild([run[:2] for run in runs], lambda: False):
            for part in stop.rebuilt:
                vmas[part.outcome] += part.vmas
    finally:
        session.close()
    return vmas


def said(*words: object) -> str:
    """What a binary says."""
    done = subprocess.run(
        [*map(str, words)], check=True, capture_output=True, text=True, timeout=1200
    )
    return done.stdout.strip()


def example(folder: Path, _seconds: float) -> str:
    """examples/rebuild by itself."""
    for case in CASES:
        answer = said(folder / "cases", case)
        print(f"  {case}: {answer}", flush=True)
        assert answer.endswith(", 0 wrong bytes"), case
    return f"{len(CASES)} cases"


def pieces(folder: Path, _seconds: float) -> str:
    """Runs in pieces."""
    for how in JOINED:
        assert said(folder / "moves", "join", *how.split()).split() == [how.split()[0], "1", "0"]
    return f"{len(JOINED)} rows in pieces, each one VMA in the end"


def predicted(folder: Path, _seconds: float) -> str:
    """What was predicted is reached."""
    source = open_source("kernel", None)
    target = Mover(folder / "mover", PIECES)
    before = target.after_more_work()
    runs = runs_of(target.pid, source)
    vmas = rebuild(target.pid, runs)
    after = target.after_more_work()
    target.stop()
    source.close()
    promised = sum(run[2] - 1 for run in runs)
    assert (after.wrong, after.row, after.files) == (0, 1, before.files), after
    assert before.vmas - after.vmas == promised, (before, after, promised)
    return f"{before.vmas} VMAs, {promised} predicted to vanish and gone ({dict(vmas)})"


def killed(folder: Path, _seconds: float) -> str:
    """The tracer dies at a call of ptrace."""
    target = Mover(folder / "mover", PIECES)
    before = target.after_more_work()
    runs = runs_of(target.pid, source := open_source("kernel", None))
    source.close()
    deaths = rebuilt = 0
    for number in range(1, 1000, KILLED_EVERY):
        assert target.ask("spoil").row > 2
        child = os.fork()
        if child == 0:
            _die_at(number)
            rebuild(target.pid, runs)
            os._exit(0)
        died = os.waitpid(child, 0)[1] == signal.SIGKILL
        now = target.after_more_work()
        while now.files != before.files or now.vmas > before.vmas:
            now = target.after_more_work()
        assert now.wrong == 0, number
        deaths, rebuilt = deaths + died, rebuilt + (now.row == 1)
        if not died:
            break
    target.stop()
    return f"{deaths} deaths, {rebuilt} times rebuilt all the same, no byte wrong"


def _die_at(number: int) -> None:
    real, done = vmad.probe.calls.call, 0

    def call(*arguments: int) -> None:
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)

    for module in (vmad.probe.calls, vmad.probe.tracing, vmad.probe.inject, vmad.probe.visit):
        module.call = call  # type: ignore[attr-defined]


def content(folder: Path, seconds: float) -> str:
    """A process that never rests; one rebuild in four is killed."""
    pick, source = random.Random(1), open_source("kernel", None)
    vmas: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    count = deaths = 0
    with Content(folder / "content", 1) as target:
        before = target.after(100)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            runs = runs_of(target.pid, source)
            count += 1
            if pick.randrange(4):
                try:
                    vmas += rebuild(target.pid, runs)
                except VmadError as error:
                    errors[type(error).__name__] += 1
                continue
            child = os.fork()
            if child == 0:
                rebuild(target.pid, runs)
                os._exit(0)
            time.sleep(pick.uniform(0, KILLED_WITHIN))
            os.kill(child, signal.SIGKILL)
            deaths += os.waitpid(child, 0)[1] != 0
        after = target.after(100)
        while after.files > before.files:
            after = target.after(100)
    source.close()
    assert (after.wrong, after.wrong_children) == (0, 0), after
    return (
        f"{count} rebuilds, {deaths} of them killed, VMAs {dict(vmas)}, refused {dict(errors)}; "
        f"{after.calls - before.calls:,} calls of the target, "
        f"{after.looks - before.looks:,} pages looked at, none wrong"
    )


def fuzz(_folder: Path, seconds: float) -> str:
    """Random layouts against the rules."""
    source = open_source("kernel", None)
    sums: Counter[str] = Counter()
    number, ends = 0, time.monotonic() + seconds
    with Executor() as executor:
        trial = RebuildTrial(executor, source)
        while time.monotonic() < ends:
            answer = trial.ask(program_of(17, number))
            number += 1
            if answer is not None:
                sums["pairs"] += answer.rebuild
                sums["left out as shared"] += answer.shared
    source.close()
    return f"{number} programs, {sums['pairs']} pairs, no disagreement ({dict(sums)})"


PARTS: dict[str, Callable[[Path, float], str]] = {
    each.__name__: each for each in (example, pieces, predicted, killed, content, fuzz)
}


def main() -> None:
    """All parts, or those that are named."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    print(os.uname().release, flush=True)
    if not folder.joinpath("cases").exists():
        folder.mkdir(parents=True, exist_ok=True)
        binaries(folder)
    for name in sys.argv[3:] or PARTS:
        began = time.monotonic()
        told = PARTS[name](folder, seconds)
        print(f"{name}: {told}; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
