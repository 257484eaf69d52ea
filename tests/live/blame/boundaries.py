# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Random calls of edges.c recorded, and what was recorded held against what the kernel showed.

``python -m tests.live.blame.boundaries BOUNDARIES [SEED]`` holds so many.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from vmad.blame.attribution import CARRIED, GROWN, NO_MAKER, Origin, attribute, grows_until
from vmad.sources.bpf.blame import WAYS, ProcessEvent, Recorder
from vmad.sources.bpf.calls import CALLS
from vmad.sources.choose import open_source
from vmad.sources.source import Source

SOURCE = Path(__file__).with_name("edges.c")
#: struct found of edges.c, and its calls
FOUND: Final = np.dtype(
    [("address", "<u8"), ("began", "<u8"), ("ended", "<u8"), ("call", "<u4"), ("unused", "<u4")]
)
NAMES: Final = (
    "nobody", "mmap", "munmap", "mprotect", "mremap", "brk", "madvise", "mlock2", "munlock",
    "shmat", "prctl",
)  # fmt: skip
DOUBTS: Final = {"not seen": 2 | 4, "carried": CARRIED, "grown": GROWN}
#: areas and calls in each: what one process holds, and what is recorded of it at most
AREAS, EACH = 1_500, 60


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
    recorded_calls: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    doubtful: Counter[str] = field(default_factory=Counter)
    doubtful_right: int = 0
    wrong: list[str] = field(default_factory=list)


def hold(
    program: Path,
    source: Source,
    seed: int,
    *,
    areas: int,
    calls: int,
    held: Held,
    ways: Sequence[str] = tuple(WAYS),
) -> None:
    """One process recorded from its first random call to its last."""
    command = [str(program), str(seed), str(areas), str(calls)]
    with (
        subprocess.Popen(command, stdin=-1, stdout=-1) as child,
        Recorder(ways=ways) as recorder,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        tgid = recorder.begin(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        truth = np.frombuffer(child.stdout.read(), FOUND)
        rows = source.table(source.find(child.pid)).rows
        events = [one for one in recorder.poll(0) if isinstance(one, ProcessEvent)]
        recorded = recorder.recorded()
        assert recorder.losses().nothing
        held.recorded_calls += recorder.calls
        child.stdin.write(b"\n")
        child.stdin.close()
        assert child.wait() == 0
    place = np.searchsorted(rows["start"], truth["address"])
    gone = truth["address"][rows["start"][np.minimum(place, len(rows) - 1)] != truth["address"]]
    assert not len(gone), f"seed {seed}: no longer there: {[hex(one) for one in gone[:5].tolist()]}"
    told = attribute(
        rows["start"],
        np.zeros(len(rows), np.bool_),
        tgid,
        recorded,
        events,
        growing=grows_until(rows),
    )
    call = told.call[place]
    named = np.array([NAMES.index(name) if name in NAMES else -1 for name in CALLS] + [0])[call]
    when = told.when[place]
    # of a move that could not be looked at closely only its order is known
    within = ((truth["began"] <= when) & (when <= truth["ended"])) | (
        told.origin[place] == Origin.MOVED
    )
    doubt = told.doubt[place]
    held.boundaries += len(truth)
    numbers, many = np.unique(truth["call"], return_counts=True)
    for number, count in zip(numbers.tolist(), many.tolist(), strict=True):
        held.calls[NAMES[number]] += count
    right = (named == truth["call"]) & within
    for kind, bits in DOUBTS.items():
        held.doubtful[kind] += int(np.count_nonzero(doubt & bits))
    held.doubtful_right += int(np.count_nonzero(right & (doubt != 0)))
    for wrong in np.flatnonzero((doubt == 0) & ~right).tolist():
        one = truth[wrong]
        held.wrong.append(
            f"seed {seed}: {int(one['address']):#x} by {NAMES[one['call']]}, blamed "
            f"{CALLS[call[wrong]] if call[wrong] != NO_MAKER else 'nobody'} ({within[wrong]})"
        )


def main() -> int:
    """For a person."""
    wanted = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    held, began = Held(), time.monotonic()
    with tempfile.TemporaryDirectory() as place, closing(open_source("kernel", None)) as source:
        program = compiled(Path(place))
        while held.boundaries < wanted and len(held.wrong) < 100:
            hold(program, source, seed, areas=min(AREAS, wanted), calls=EACH, held=held)
            seed += 1
            print(
                f"{held.boundaries:,} boundaries, {len(held.wrong)} wrong, "
                f"{held.doubtful.total()} in doubt, {held.recorded_calls:,} calls, next seed "
                f"{seed}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    doubts = f"{dict(held.doubtful)}, {held.doubtful_right} of them right"
    print(f"{dict(held.calls)}, in doubt: {doubts}")
    print("\n".join(held.wrong[:20]))
    return bool(held.wrong)


if __name__ == "__main__":
    sys.exit(main())
