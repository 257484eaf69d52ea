# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Random calls of edges.c recorded, and what was recorded held against what /proc/self/maps showed.

``python boundaries.py BOUNDARIES [SEED]`` holds so many.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vmad.blame.attribution import Origin, attribute
from vmad.sources.bpf.blame import CALLS, ProcessEvent, Recorder

SOURCE = Path(__file__).with_name("edges.c")


def compiled(place: Path) -> Path:
    """The program."""
    made = place / "edges"
    subprocess.run(
        ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(SOURCE)], check=True
    )
    return made


@dataclass
class Held:
    """How many boundaries were held against the truth, and which were blamed wrongly."""

    boundaries: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    doubtful: int = 0
    wrong: list[str] = field(default_factory=list)


def hold(program: Path, seed: int, areas: int, calls: int, held: Held) -> None:
    """One process recorded from its first random call to its last."""
    command = [str(program), str(seed), str(areas), str(calls)]
    with (
        subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as child,
        Recorder() as recorder,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        tgid = recorder.begin(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        truth = []
        for line in child.stdout:
            if line == "end\n":
                break
            truth.append(line.split())
        events = [one for one in recorder.poll(0) if isinstance(one, ProcessEvent)]
        recorded = recorder.recorded()
        assert recorder.losses().nothing
        child.stdin.write("\n")
        child.stdin.close()
        child.wait()
    starts = np.array([int(address, 16) for address, *_ in truth], np.uint64)
    blamed = attribute(starts, np.zeros(len(starts), np.bool_), tgid, recorded, events)
    for number, (address, call, began, ended) in enumerate(truth):
        held.boundaries += 1
        held.calls[call] += 1
        named = CALLS[blamed.call[number]] if blamed.call[number] >= 0 else "nobody"
        when = int(blamed.when[number])
        within = int(began) <= when <= int(ended)
        if blamed.origin[number] == Origin.MOVED:
            within = True  # of a move, only its order is known
        if blamed.doubt[number]:
            held.doubtful += 1
        elif named != call or not within:
            held.wrong.append(f"seed {seed}: {address} by {call}, blamed {named} ({within})")


def main() -> int:
    """For a person."""
    wanted = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    held = Held()
    with tempfile.TemporaryDirectory() as place:
        program = compiled(Path(place))
        while held.boundaries < wanted and len(held.wrong) < 100:
            hold(program, seed, 200, 60, held)
            seed += 1
            print(f"\r{held.boundaries:,} boundaries, {len(held.wrong)} wrong", end="", flush=True)
    print(f"\n{dict(held.calls)}, {held.doubtful} in doubt")
    print("\n".join(held.wrong[:20]))
    return bool(held.wrong)


if __name__ == "__main__":
    sys.exit(main())
