# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad lab matrix``: one boot per kernel, every check in it, one table of them all."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vmad.lab.checkout import checkout
from vmad.lab.errors import LabError
from vmad.lab.matrix.boot import run_kernel
from vmad.lab.matrix.order import STEP_LIMIT, STEPS, Order, Slice
from vmad.lab.matrix.row import table

#: the oldest that the rules know, the two Debian releases of the day, and the newest
DEFAULT_KERNELS = ("5.10", "6.1", "6.12", "newest")
#: The tests of the evidence. Those of the commands and of probe start programs by the dozen, and
#: Python is 18 times slower under software emulation: one of them takes minutes there.
LIVE = ("tests/live/test_kernel_*.py", "tests/live/test_procfs_*.py")
#: Per kernel, from the first test on: not all of them fit in, and which do is drawn every day.
LIVE_SECONDS = 60.0
#: Collecting every file would take longer than running what then fits in.
LIVE_FILES = 2
DIFFERENTIAL_SECONDS = 20.0


def steps_here(root: Path) -> list[str]:
    """The steps for which this checkout has the code."""
    there = {
        "selfcheck": importlib.util.find_spec("vmad.cli.selfcheck") is not None,
        "differential": (root / "tests" / "differential" / "trial.py").is_file(),
    }
    return [step for step in STEPS if there.get(step, True)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``vmad lab matrix``."""
    parser.add_argument(
        "--kernels",
        default=" ".join(DEFAULT_KERNELS),
        metavar="NAMES",
        help="by commas or spaces (default %(default)s)",
    )
    parser.add_argument("--steps", default=None, metavar="NAMES", help=f"of {' '.join(STEPS)}")
    parser.add_argument(
        "--seed", type=int, default=None, help="which live and differential tests to draw"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=DIFFERENTIAL_SECONDS,
        help="of differential tests per kernel (default %(default)g)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=STEP_LIMIT,
        metavar="SECONDS",
        help="a check is killed after them (default %(default)g)",
    )
    parser.add_argument("--live", nargs="+", default=LIVE, metavar="PATH", help="tests for pytest")
    parser.add_argument(
        "--live-seconds",
        type=float,
        default=LIVE_SECONDS,
        metavar="SECONDS",
        help="of live tests per kernel (default %(default)g)",
    )
    parser.add_argument(
        "--live-files",
        type=int,
        default=LIVE_FILES,
        metavar="N",
        help="how many files of live tests are drawn per kernel (default %(default)d)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")


def run(args: argparse.Namespace) -> int:
    """Run the matrix that the options ask for; 0 when nothing failed."""
    root = checkout()
    steps = args.steps.replace(",", " ").split() if args.steps else steps_here(root)
    if unknown := sorted(set(steps) - set(STEPS)):
        raise LabError(f"no step is called {unknown[0]!r}", f"there is: {' '.join(STEPS)}")
    # Another slice every day: a fixed one would find only once what it finds.
    seed = int(time.time()) // 86400 if args.seed is None else args.seed
    part = Slice(
        differential_seconds=args.seconds,
        live_seconds=args.live_seconds,
        seed=seed,
        live=_files(root, args.live),
        live_files=args.live_files,
    )
    order = Order(tuple(steps), part, args.limit)
    rows = [
        run_kernel(
            kernel,
            order,
            root=root,
            told=lambda line: print(line, file=sys.stderr, flush=True),
        )
        for kernel in args.kernels.replace(",", " ").split()
    ]
    print(table(rows, steps))
    if args.json is not None:
        document = [asdict(row) for row in rows]
        args.json.write_text(json.dumps({"schema": "vmad.matrix/1", "kernels": document}))
    return 0 if all(row.ok(steps) for row in rows) else 1


def _files(root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """What pytest is given: patterns become the files that match them here."""
    paths: list[str] = []
    for pattern in patterns:
        matching = sorted(str(path.relative_to(root)) for path in root.glob(pattern))
        paths += matching or [pattern]
    return tuple(paths)
