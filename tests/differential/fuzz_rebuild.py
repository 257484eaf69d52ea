# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.differential.fuzz_rebuild``: the relaxed and rebuild rules against rebuilds.

Any number of random programs on all cores of a stock kernel (6.8 and later). Every run that a
program leaves is rebuilt in its process; VMAs and bytes are compared before and after. Program N of
seed S is always the same: ``--show N`` prints it and runs it alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path

from tests.differential.executor import Executor
from tests.differential.generator import EVERYTHING, LONG_RUNS, RUNS, random_program
from tests.differential.program import Program, listing
from tests.differential.rebuild_trial import NotRebuilt, RebuildDisagrees, RebuildTrial
from vmad.sources.choose import open_source

#: programs per piece of work
CHUNK = 500
#: one program in six plays with everything that a VMA can have; the others make runs
MIXES = (EVERYTHING, RUNS, *[LONG_RUNS] * 4)


def program_of(seed: int, number: int) -> Program:
    """Program ``number`` of a seed."""
    pick = random.Random(f"rebuild:{seed}:{number}").random
    return random_program(lambda bound: int(pick() * bound), MIXES[number % len(MIXES)])


def ask_all(trial: RebuildTrial, seed: int, numbers: range) -> tuple[Counter[str], list[str]]:
    """Sums over programs, and what disagreed or was not rebuilt, as text."""
    sums: Counter[str] = Counter(programs=len(numbers))
    told = []
    for number in numbers:
        try:
            answer = trial.ask(program_of(seed, number))
        except NotRebuilt as error:
            sums["not rebuilt"] += 1
            told.append(f"seed {seed} program {number} was not rebuilt: {error}")
        except RebuildDisagrees as error:
            sums["disagreements"] += 1
            told.append(f"seed {seed} program {number}: {error}")
        else:
            if answer is not None:
                sums["pairs"] += answer.rebuild
                sums["relaxed"] += answer.relaxed
                sums["vanished"] += answer.vanished
                sums["shared"] += answer.shared
                sums["guarded"] += answer.guarded
    return sums, told


@cache
def own_trial() -> RebuildTrial:
    """Of this worker; its end closes all."""
    return RebuildTrial(Executor(), open_source("kernel", None))


def run_chunk(work: tuple[int, int]) -> tuple[int, Counter[str], list[str]]:
    """One chunk in a worker."""
    seed, chunk = work
    return chunk, *ask_all(own_trial(), seed, range(chunk * CHUNK, (chunk + 1) * CHUNK))


def report(seed: int, sums: Counter[str], seconds: float) -> str:
    """What was asked and answered, for people."""
    return (
        f"kernel {os.uname().release}, seed {seed}: {sums['pairs']:,} pairs in runs of "
        f"{sums['programs']:,} programs, {sums['disagreements']} disagreements, {seconds:,.0f} s\n"
        f"promised by the relaxed rules {sums['relaxed']:,}, by the rebuild rules "
        f"{sums['pairs']:,}; VMAs that vanished {sums['vanished']:,}\n"
        f"left out: {sums['shared']:,} VMAs with a page that somebody else holds, "
        f"{sums['guarded']:,} with a guard region; "
        f"not rebuilt: {sums['not rebuilt']:,} programs"
    )


def show(seed: int, number: int) -> int:
    """One program, what it leaves and what a rebuild makes of it."""
    program = program_of(seed, number)
    print(listing(program))
    source = open_source("kernel", None)
    with Executor() as executor:
        try:
            print(RebuildTrial(executor, source).ask(program) or "no run")
        except RebuildDisagrees as error:
            print(str(error).partition("\n")[0])
            return 1
    return 0


def main() -> int:
    """Run, resume, or show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="stop after so many in all")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=Path("build/fuzz/rebuild.json"))
    parser.add_argument("--show", type=int, metavar="N", help="print program N and run it alone")
    arguments = parser.parse_args()
    seed = arguments.seed
    if arguments.show is not None:
        return show(seed, arguments.show)
    state = {"seed": seed, "kernel": os.uname().release, "chunks": 0, "seconds": 0.0, "sums": {}}
    if arguments.state.exists():
        earlier = json.loads(arguments.state.read_text(encoding="utf-8"))
        if (earlier["seed"], earlier["kernel"]) != (seed, state["kernel"]):
            sys.exit(f"{arguments.state} is of another seed or kernel: name another --state")
        state = earlier
    sums: Counter[str] = Counter(state["sums"])
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic() - state["seconds"]
    work = ((seed, chunk) for chunk in itertools.count(state["chunks"]))
    with multiprocessing.Pool(arguments.workers) as pool:
        # in order, so that one number says which are done; a few at a time, as it is endless
        while sums["pairs"] < arguments.pairs:
            some = list(itertools.islice(work, 4 * arguments.workers))
            for chunk, counted, told in pool.imap(run_chunk, some):
                sums.update(counted)
                for text in told:
                    print(text, flush=True)
                state.update(chunks=chunk + 1, sums=sums, seconds=time.monotonic() - began)
                fresh = arguments.state.with_suffix(".new")
                fresh.write_text(json.dumps(state) + "\n", encoding="utf-8")
                fresh.rename(arguments.state)
    print(report(seed, sums, time.monotonic() - began))
    return 1 if sums["disagreements"] else 0


if __name__ == "__main__":
    sys.exit(main())
