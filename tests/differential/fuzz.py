# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.differential.fuzz``: any number of random programs, on all cores, resumable.

Program N of seed S is always the same: ``--show N`` prints it and runs it alone. The state file
holds what was done, so that a run that is interrupted goes on where it stopped; disagreements are
written beside it, one file each, and end the run with status 1.

``--switch PROGRAM:ATTEMPT`` is for a patched kernel: vm.anon_vma_merge while a program runs, and
while its pairs are tried. ``0:7`` makes pairs as a stock kernel leaves them and then asks the
patched one; ``7:7`` asks about what is left when all is patched. Both hold the relaxed rules.
``8:7`` does as ``0:7``, and faster: the kernel's text is not rewritten at every change.

``--evidence procfs`` is for kernels without BTF, such as the debug kernel: many verdicts are
unknown then; every pair is tried all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.differential.executor import Executor
from tests.differential.generator import random_program
from tests.differential.program import Program, listing
from tests.differential.trial import Disagrees, NotReproduced, Switch, Trial
from vmad.sources.choose import open_source

#: programs per piece of work: a tenth of a second, or many seconds without KVM
CHUNK = 10
#: one program in so many is also held against procfs evidence; that costs milliseconds
PROCFS_EVERY = 20
#: one program in so many has the single reasons of its pairs removed
CURE_EVERY = 3


@dataclass
class State:
    """What a run has done so far; chunks are numbered from 0, each has ``chunk`` programs."""

    seed: int
    kernel: str
    done_below: int = 0
    done_beyond: list[int] = field(default_factory=list)
    pairs: int = 0
    programs: int = 0
    not_reproduced: int = 0
    not_tried: int = 0
    procfs_pairs: int = 0
    procfs_unknown: int = 0
    seconds: float = 0.0  #: of work, summed over the workers
    reasons: dict[str, int] = field(default_factory=dict)
    every_reason: dict[str, int] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)
    cured: dict[str, int] = field(default_factory=dict)
    disagreements: int = 0
    switch: str = ""
    not_removed: int = 0  #: pairs that stayed apart though their only reason was taken away
    chunk: int = 100  #: that of files that do not say so

    def add(self, chunk: int, result: dict[str, Any]) -> None:
        """Count one chunk in."""
        for name, value in result.items():
            if isinstance(value, dict):
                mine = getattr(self, name)
                for key, count in value.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                setattr(self, name, getattr(self, name) + value)
        self.done_beyond = sorted({*self.done_beyond, chunk})
        while self.done_beyond and self.done_beyond[0] == self.done_below:
            self.done_beyond.pop(0)
            self.done_below += 1


def program_of(seed: int, number: int) -> tuple[Program, int]:
    """Program ``number`` of a seed, and which sides are operated on."""
    rng = random.Random(f"{seed}:{number}")
    program = random_program(rng.randrange)
    return program, rng.getrandbits(256)


def run_chunk(trial: Trial, seed: int, numbers: range, found: Path) -> dict[str, Any]:
    """Run the programs of one chunk; returns what State.add takes."""
    began = time.monotonic()
    reasons: Counter[str] = Counter()
    every: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    pairs = not_reproduced = disagreements = not_removed = 0
    procfs, by_kernel = trial.procfs, trial.source is not trial.procfs
    trial.procfs_pairs = trial.procfs_unknown = trial.not_tried = 0
    trial.cured.clear()
    for number in numbers:
        program, choose_a = program_of(seed, number)
        trial.procfs = procfs if by_kernel and number % PROCFS_EVERY == 0 else None
        try:
            answered = trial.answers(program, choose_a)
        except NotReproduced as error:
            not_reproduced += 1
            keep(found / f"not-reproduced-{seed}-{number}.txt", seed, number, error)
            continue
        except Disagrees as error:
            disagreements += 1
            keep(found / f"disagreement-{seed}-{number}.txt", seed, number, error)
            continue
        try:
            if by_kernel and number % CURE_EVERY == 0:
                trial.cure_pairs(program, answered)
        except Disagrees as error:
            not_removed += 1
            keep(found / f"not-removed-{seed}-{number}.txt", seed, number, error)
        pairs += len(answered)
        for each in answered:
            judgement = each.pair.judgement
            reasons[judgement.decisive] += 1
            every.update(judgement.reasons or (judgement.decisive,))
            if each.merged:
                merged[judgement.decisive] += 1
    trial.procfs = procfs
    return {
        "pairs": pairs,
        "programs": len(numbers),
        "not_reproduced": not_reproduced,
        "not_tried": trial.not_tried,
        "procfs_pairs": trial.procfs_pairs,
        "procfs_unknown": trial.procfs_unknown,
        "seconds": time.monotonic() - began,
        "reasons": dict(reasons),
        "every_reason": dict(every),
        "merged": dict(merged),
        "cured": dict(trial.cured),
        "disagreements": disagreements,
        "not_removed": not_removed,
    }


def keep(path: Path, seed: int, number: int, error: Exception) -> None:
    """Write down what was found."""
    path.write_text(f"seed {seed} program {number}\n{error}\n", encoding="utf-8")


def switch_of(text: str) -> Switch | None:
    """``PROGRAM:ATTEMPT`` as a switch; None for no text, which is for a stock kernel."""
    if not text:
        return None
    program, _, attempt = text.partition(":")
    return Switch(int(program), int(attempt))


def trial_with(executor: Executor, evidence: str, switch: Switch | None) -> Trial:
    """Judge by one evidence; by the kernel's, procfs is held against it now and then."""
    procfs = open_source("procfs", None)
    source = open_source("kernel", None) if evidence == "kernel" else procfs
    return Trial(executor, source, procfs, switch)


def work(seed: int, found: Path, evidence: str, switch: Switch | None, size: int) -> None:
    """A worker: numbers of chunks of this size in, one JSON line per chunk out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Executor() as executor:
        trial = trial_with(executor, evidence, switch)
        for line in sys.stdin:
            chunk = int(line)
            numbers = range(chunk * size, (chunk + 1) * size)
            print(json.dumps([chunk, run_chunk(trial, seed, numbers, found)]), flush=True)


def save(state: State, path: Path) -> None:
    """Write the state so that a kill leaves the old or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    fresh.rename(path)


def load(path: Path, seed: int, switch: str) -> State:
    """The state of an earlier run with this seed and kernel, or a fresh one."""
    release = os.uname().release
    if path.exists():
        state = State(**json.loads(path.read_text(encoding="utf-8")))
        if (state.seed, state.kernel, state.switch) != (seed, release, switch):
            sys.exit(f"{path} is of seed {state.seed} on {state.kernel}: name another --state")
        return state
    return State(seed, release, switch=switch, chunk=CHUNK)


def drive(state: State, path: Path, wanted: int, workers: int, evidence: str) -> None:
    """Hand out chunks until ``wanted`` pairs were asked, saving after each."""
    command = [sys.executable, "-m", "tests.differential.fuzz", "--worker", str(path.parent)]
    command += ["--seed", str(state.seed), "--switch", state.switch, "--evidence", evidence]
    command += ["--chunk", str(state.chunk)]
    crew = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    done = set(state.done_beyond)
    numbers = (number for number in range(state.done_below, 1 << 62) if number not in done)

    def give(worker: subprocess.Popen[str]) -> None:
        assert worker.stdin is not None
        worker.stdin.write(f"{next(numbers)}\n")
        worker.stdin.flush()

    busy = list(crew)
    for worker in crew:
        give(worker)
    try:
        while busy:
            pipes = {worker.stdout.fileno(): worker for worker in busy if worker.stdout}
            for fd in select.select(list(pipes), [], [])[0]:
                worker = pipes[fd]
                assert worker.stdout is not None
                line = worker.stdout.readline()
                if not line:
                    sys.exit("a worker ended: see its message above")
                chunk, result = json.loads(line)
                state.add(chunk, result)
                save(state, path)
                if state.pairs >= wanted:
                    busy.remove(worker)
                else:
                    give(worker)
    except KeyboardInterrupt:
        pass
    finally:
        for worker in crew:
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()


def report(state: State) -> str:
    """The distribution, for people."""
    switched = f", vm.anon_vma_merge {state.switch}" if state.switch else ""
    lines = [
        f"kernel {state.kernel}{switched}, seed {state.seed}: {state.pairs:,} pairs of "
        f"{state.programs:,} programs, {state.disagreements} disagreements, {state.not_removed} "
        f"reasons that were not the cause, {state.seconds:,.0f} s of work",
        f"not reproduced: {state.not_reproduced:,} programs; "
        f"no free hint: {state.not_tried:,} pairs",
    ]
    if state.procfs_pairs:
        share = state.procfs_unknown / state.procfs_pairs
        lines.append(
            f"procfs evidence: {state.procfs_pairs:,} pairs, {share:.1%} unknown, the rest agree"
        )
    lines.append(f"{'reason':32} {'decisive':>10} {'applies':>10} {'merged':>8} {'removed':>8}")
    for name, count in sorted(state.every_reason.items(), key=lambda item: -item[1]):
        lines.append(
            f"{name:32} {state.reasons.get(name, 0):10,} {count:10,} "
            f"{state.merged.get(name, 0):8,} {state.cured.get(name, 0):8,}"
        )
    return "\n".join(lines)


def main() -> int:
    """Run, resume, or show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="stop after so many in all")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=Path("build/fuzz/state.json"))
    parser.add_argument("--switch", default="", metavar="PROGRAM:ATTEMPT")
    parser.add_argument("--evidence", choices=("kernel", "procfs"), default="kernel")
    parser.add_argument("--show", type=int, metavar="N", help="print program N and run it alone")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--chunk", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    switch = switch_of(arguments.switch)
    if arguments.worker is not None:
        work(arguments.seed, arguments.worker, arguments.evidence, switch, arguments.chunk)
        return 0
    if arguments.show is not None:
        return show(arguments.seed, arguments.show, arguments.evidence, switch)
    if switch is not None and switch.program != switch.attempt:
        arguments.workers = 1  # the switch is the machine's: two workers would set it to and fro
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    state = load(arguments.state, arguments.seed, arguments.switch)
    drive(state, arguments.state, arguments.pairs, arguments.workers, arguments.evidence)
    print(report(state))
    return 1 if state.disagreements or state.not_removed else 0


def show(seed: int, number: int, evidence: str, switch: Switch | None) -> int:
    """One program, its pairs and the kernel's answers."""
    program, choose_a = program_of(seed, number)
    print(listing(program))
    with Executor() as executor:
        trial = trial_with(executor, evidence, switch)
        try:
            answered = trial.answers(program, choose_a)
            if evidence == "kernel":
                trial.cure_pairs(program, answered)
        except Disagrees as error:
            print(error)
            return 1
    for each in answered:
        judgement = each.pair.judgement
        print(
            f"{each.pair.b.start:#x} {judgement.verdict.value} {' '.join(judgement.reasons)}: "
            f"{'merged' if each.merged else 'stayed apart'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
