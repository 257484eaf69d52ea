# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.differential.fuzz_switch``: never more VMAs than on a stock kernel.

For the guest with the patched kernel, alone on it. Each random program runs once with the switch
(vm.anon_vma_merge) off, where that kernel does as stock, and once for each way to switch: a value
all the time, or one that is taken back to off, or changed, half way. VMAs are counted after every
call, and must never be more than with the switch off. Program N of seed S is always the same:
``--show N`` prints it with its counts.

Off is meant to be what a stock kernel does. To hold both against a real one, ``--record FILE``
there writes the counts of each program down, and ``--against FILE`` on the patched kernel takes
them for the measure: switched off they must be the same, and switched on never more. What one of
the two kernels was built without (Debian's cloud kernel knows no names of anonymous memory) is
left out of the programs by ``--without NAME`` when they are recorded.

A program that moves memory by mremap() may undo a move after what lies there was labelled anew and
then shared, pinned or switched off; those ways are counted apart (docs/patched-kernel.md).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.differential.executor import Executor
from tests.differential.generator import EVERYTHING, LONG_RUNS, RUNS, random_program
from tests.differential.program import Kind, Op, Program, listing

MIXES = (EVERYTHING, RUNS, EVERYTHING, LONG_RUNS)
#: one program in so many may move memory
MOVES_EVERY = 2
_COUNT = Op(Kind.COUNT)


class Way(NamedTuple):
    """The switch in the first and in the second half of a program."""

    first: int
    second: int


OFF = Way(0, 0)
STEADY = (Way(7, 7), Way(2, 2), Way(4, 4), Way(6, 6), Way(1, 1), Way(3, 3))
CHANGED = (Way(7, 0), Way(6, 0), Way(2, 0), Way(7, 2), Way(4, 3), Way(0, 7))


#: the errno of each call, and the VMAs after it
Counts = list[tuple[int, int]]


class More(NamedTuple):
    """A way to switch that left more VMAs than stock, after call ``step``."""

    way: Way
    step: int
    stock: int
    here: int


def program_of(seed: int, number: int, without: Collection[str] = ()) -> Program:
    """Program ``number`` of a seed without calls of those kinds; every other one without mremap."""
    pick = random.Random(f"switch:{seed}:{number}").random
    program = random_program(lambda bound: int(pick() * bound), MIXES[number // 2 % len(MIXES)])
    if number % MOVES_EVERY:
        program = tuple(each for each in program if each.kind != Kind.MREMAP)
    return tuple(each for each in program if Kind(each.kind).name not in without)


def counted(program: Program, way: Way) -> Program:
    """The program with the switch set and VMAs counted after every call."""
    half = len(program) // 2
    switches = {0: way.first, half: way.second}
    ops: list[Op] = []
    for step, each in enumerate(program):
        if step in switches:
            ops.append(Op(Kind.SWITCH, switches[step]))
        ops += [each, _COUNT]
    return tuple(ops)


def counts_of(executor: Executor, program: Program, way: Way) -> Iterator[tuple[int, int]]:
    """The errno of each call and the VMAs after it."""
    asked = counted(program, way)
    results = iter(executor.hold(asked).errors)
    errno = 0
    for op, result in zip(asked, results, strict=False):
        if op.kind == Kind.COUNT:
            yield errno, -result
        elif op.kind != Kind.SWITCH:
            errno = result


def compare(
    executor: Executor, program: Program, stock: Counts, ways: tuple[Way, ...]
) -> tuple[list[More], Counter[str]]:
    """Where a way left more VMAs than stock, the first time; sums of steps and of VMAs saved."""
    more, sums = [], Counter(programs=1)
    for way in ways:
        for step, (there, here) in enumerate(
            zip(stock, counts_of(executor, program, way), strict=False)
        ):
            if there[0] != here[0]:
                sums["calls that ended otherwise"] += 1
                break  # too many areas, no memory: two programs from here on
            sums["steps"] += 1
            sums["saved"] += max(0, there[1] - here[1])
            if here[1] > there[1]:
                more.append(More(way, step, there[1], here[1]))
                break
    return more, sums


class Recorded(NamedTuple):
    """What programs counted on some kernel, by their number."""

    without: tuple[str, ...]  #: names of kinds of calls that were left out
    counts: dict[int, Counts]


def record(
    executor: Executor, seed: int, programs: int, file: Path, without: Sequence[str] = ()
) -> None:
    """Write down what each program counts on this kernel, by its number."""
    counts = {
        number: list(counts_of(executor, program_of(seed, number, without), OFF))
        for number in range(programs)
    }
    text = json.dumps({"seed": seed, "without": without, "counts": counts})
    file.write_text(text + "\n")


def recorded(file: Path, seed: int) -> Recorded:
    """What ``record`` wrote. Raises ``SystemExit`` if it is of another seed."""
    found = json.loads(file.read_text())
    if found["seed"] != seed:
        sys.exit(f"{file} is of seed {found['seed']}; give --seed {found['seed']}")
    counts = {
        int(number): [(errno, vmas) for errno, vmas in steps]
        for number, steps in found["counts"].items()
    }
    return Recorded(tuple(found["without"]), counts)


def main() -> int:
    """Status 1 if a program that moves nothing had more VMAs, or off is not as stock."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--show", type=int, metavar="N", help="print program N and its counts")
    parser.add_argument("--record", type=Path, help="write the counts of this kernel to a file")
    parser.add_argument("--programs", type=int, default=100, help="how many with --record")
    parser.add_argument(
        "--without", nargs="+", default=[], choices=[kind.name for kind in Kind], metavar="KIND",
        help="leave calls of these kinds out with --record",
    )  # fmt: skip
    parser.add_argument("--against", type=Path, help="counts of a stock kernel")
    arguments = parser.parse_args()
    sums: Counter[str] = Counter()
    found: Counter[str] = Counter()
    failed = False
    with Executor() as executor:
        if arguments.show is not None:
            program = program_of(arguments.seed, arguments.show)
            print(listing(program))
            for way in (OFF, *STEADY, *CHANGED):
                print(way, [count for _, count in counts_of(executor, program, way)])
            return 0
        if arguments.record:
            record(
                executor, arguments.seed, arguments.programs, arguments.record, arguments.without
            )
            return 0
        without, known = (
            recorded(arguments.against, arguments.seed) if arguments.against else Recorded((), {})
        )
        ends = time.monotonic() + arguments.seconds
        number = -1
        while time.monotonic() < ends and (not known or number + 1 < len(known)):
            number += 1
            program = program_of(arguments.seed, number, without)
            off = list(counts_of(executor, program, OFF))
            stock = known.get(number, off)
            if off != stock:
                found["off, other than stock"] += 1
                failed = True
                print(f"program {number}: off {off}, stock {stock}", flush=True)
            more, added = compare(executor, program, stock, STEADY + CHANGED)
            sums += added
            moves = any(each.kind == Kind.MREMAP for each in program)
            for each in more:
                kind = "steady" if each.way in STEADY else "changed"
                found[f"{kind}, {'with' if moves else 'without'} mremap"] += 1
                failed |= not moves
                print(f"program {number}: {each}", flush=True)
    measure = "stock" if arguments.against else "off"
    print(f"seed {arguments.seed}: {dict(sums)}; more than {measure}: {dict(found) or 'never'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
