# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The matrix: one boot per kernel, every check in it, one table of kernel × check × result."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmad.lab.errors import LabError
from vmad.lab.machine import MIB, Machine
from vmad.lab.run import BOOT_TIMEOUT, run_streaming
from vmad.lab.surroundings import package_root

#: the oldest that the rules know, the two Debian releases of the day, and the newest
DEFAULT_KERNELS = ("5.10", "6.1", "6.12", "newest")
STEPS = ("scan", "selfcheck", "live", "differential")
#: The tests of the evidence. Those of the commands and of probe start programs by the dozen, and
#: Python is 18 times slower under software emulation: one of them takes minutes there.
LIVE = ("tests/live/test_kernel_*.py", "tests/live/test_procfs_*.py")
#: Per kernel, from the first test on: not all of them fit in, and which do is drawn every day.
LIVE_SECONDS = 60.0
#: Collecting every file would take longer than running what then fits in.
LIVE_FILES = 2
DIFFERENTIAL_SECONDS = 20.0
STEP_LIMIT = 300.0


@dataclass
class Row:
    """What one kernel came to: its steps' results as they came, and what ended it early."""

    kernel: str
    release: str = ""
    boot_seconds: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0  #: of this machine, for QEMU and what belongs to it
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""
    console: str = ""
    said: str = ""

    def ok(self, wanted: Sequence[str]) -> bool:
        """Whether every wanted step is there and none has failed."""
        there = all(step in self.steps for step in wanted)
        return there and not self.error and all(s["ok"] is not False for s in self.steps.values())


def checkout() -> Path:
    """The directory with the tests that belong to this vmad. Raises ``LabError``."""
    root = Path(package_root())
    if not (root / "tests" / "live").is_dir():
        raise LabError(f"no tests beside {root}/vmad", "run the matrix from a checkout")
    return root


def steps_here(root: Path) -> list[str]:
    """The steps for which this checkout has the code."""
    there = {
        "selfcheck": importlib.util.find_spec("vmad.cli.selfcheck") is not None,
        "differential": (root / "tests" / "differential" / "trial.py").is_file(),
    }
    return [step for step in STEPS if there.get(step, True)]


def run_kernel(
    kernel: str,
    steps: Sequence[str],
    *,
    root: Path,
    seed: int,
    live: Sequence[str] = LIVE,
    live_seconds: float = LIVE_SECONDS,
    live_files: int = LIVE_FILES,
    limit: float = STEP_LIMIT,
    differential_seconds: float = DIFFERENTIAL_SECONDS,
    told: Callable[[str], None] = lambda line: None,
) -> Row:
    """Boot one kernel and run the steps in it; whatever happens becomes part of the row."""
    row = Row(kernel)
    wanted = {
        "steps": list(steps),
        "limit": limit,
        "slice": {
            "differential_seconds": differential_seconds,
            "seed": seed,
            "live_seconds": live_seconds,
            "live": _files(root, live),
            "live_files": live_files,
        },
    }
    script = f'cd "{root}" && uname -r && exec "$@"'
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "vmad.lab.matrix_guest"]
    argv += [json.dumps(wanted), *_compiled(root, steps)]
    stdout, stderr = _Lines(lambda line: _take(row, line, told)), bytearray()
    began, used = time.monotonic(), _cpu_seconds()
    try:
        ending = run_streaming(
            kernel,
            argv,
            machine=Machine(memory=1024 * MIB, cpus=2),
            timeout=BOOT_TIMEOUT + limit * (len(steps) + 1),
            out_dir=None,
            stdin=b"",
            stdout=stdout.feed,
            stderr=stderr.extend,
        )
        row.boot_seconds = ending.boot_seconds
        if ending.status != 0:
            row.error = f"the guest's program ended with status {ending.status}"
    except LabError as error:
        row.error, row.console = str(error), error.console
        told(f"{row.kernel}: {row.error}")
    row.said = bytes(stderr[-6000:]).decode(errors="replace")
    row.seconds, row.cpu_seconds = time.monotonic() - began, _cpu_seconds() - used
    return row


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _files(root: Path, patterns: Sequence[str]) -> list[str]:
    """What pytest is given: patterns become the files that match them here."""
    found = []
    for pattern in patterns:
        matching = sorted(str(path.relative_to(root)) for path in root.glob(pattern))
        found += matching or [pattern]
    return found


def _compiled(root: Path, steps: Sequence[str]) -> list[str]:
    """The differential executor, compiled here: a compiler takes half a minute in a guest.

    It lies in /tmp; a word of the command that is an absolute path is seen in the guest.
    """
    if "differential" not in steps:
        return []
    sys.path.insert(0, str(root))
    executor = importlib.import_module("tests.differential.executor")
    return [str(executor.compiled())]


class _Lines:
    """Cuts what comes in into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, content: bytes) -> None:
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))


def _take(row: Row, line: str, told: Callable[[str], None]) -> None:
    if not row.release:
        row.release = line.strip()
        return
    result = json.loads(line)
    name = result.pop("step")
    row.steps[name] = result
    word = "ok" if result["ok"] else "FAILED"
    told(f"{row.kernel}: {name} {word} after {result['seconds']:.0f} s  {result['summary']}")
    if not result["ok"]:
        told(result["detail"])


def table(rows: Sequence[Row], steps: Sequence[str]) -> str:
    """The table for people, one line per kernel and check, then the details of what failed."""
    lines = [f"{'KERNEL':<8} {'CHECK':<13} {'RESULT':<7} {'SECONDS':>7}  WHAT WAS SEEN"]
    for row in rows:
        lines.append(
            f"{row.kernel:<8} {'boot':<13} {'FAILED' if row.error else 'ok':<7} "
            f"{row.boot_seconds or 0:7.1f}  {row.release or row.error}"
        )
        for step in steps:
            result = row.steps.get(step)
            word, seconds, summary = "absent", 0.0, "it did not run"
            if result is not None:
                word = {True: "ok", False: "FAILED", None: "-"}[result["ok"]]
                seconds, summary = result["seconds"], result["summary"]
            lines.append(f"{'':<8} {step:<13} {word:<7} {seconds:7.1f}  {summary}")
        load = f"{row.cpu_seconds:.0f} s of CPU time of this machine"
        lines.append(f"{'':<8} {'in all':<13} {'':<7} {row.seconds:7.1f}  {load}")
    for row in rows:
        if row.error:
            lines += ["", f"--- {row.kernel}: {row.error}", row.console]
        for step, result in row.steps.items():
            if result["ok"] is False:
                lines += ["", f"--- {row.kernel} {step}: {result['summary']}", result["detail"]]
        if (row.error or any(s["ok"] is False for s in row.steps.values())) and row.said:
            lines += ["", f"--- {row.kernel}: the end of what was printed there", row.said]
    return "\n".join(lines)


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
    rows = [
        run_kernel(
            kernel,
            steps,
            root=root,
            seed=seed,
            live=args.live,
            live_seconds=args.live_seconds,
            live_files=args.live_files,
            limit=args.limit,
            differential_seconds=args.seconds,
            told=lambda line: print(line, file=sys.stderr, flush=True),
        )
        for kernel in args.kernels.replace(",", " ").split()
    ]
    print(table(rows, steps))
    if args.json is not None:
        document = [vars(row) for row in rows]
        args.json.write_text(json.dumps({"schema": "vmad.matrix/1", "kernels": document}))
    return 0 if all(row.ok(steps) for row in rows) else 1
