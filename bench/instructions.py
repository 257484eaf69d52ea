# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.instructions``: a full exact scan against `cat` of all maps, by instructions.

Each kernel in a guest of one processor whose clocks count instructions (QEMU's -icount), so that
the speed of the emulation, and what else the host does, stay out of the ratio. Kernels of 64-bit
Arm stand beside those of x86-64.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bench.children
from bench.children import Children
from bench.measure import Cost, cost_of, in_turn
from bench.ratios import Spread, paired, spread
from bench.scans import cat_maps
from bench.subject import scanner
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming

KERNELS = ("6.12", "6.12-arm64")
TIMEOUT = 3600.0
#: seconds
REST = 0.2


def inside(vmas: int, processes: int, rounds: int) -> dict[str, list[float]]:
    """In the guest: CPU time of both in each round, which is millions of instructions.

    Each begins rested: right after what had ended processes, the CPU time that the kernel accounts
    for was up to a third short of the instructions.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Children() as children,
        scanner("kernel") as exact,
    ):
        bench.children.OUT = Path(folder)  # what the host has compiled may be for its processor
        children.large(vmas)
        children.small(processes)
        costs = in_turn(
            {
                "scan": lambda: _rested(lambda: exact.scan(True)),
                "cat": lambda: _rested(cat_maps),
            },
            rounds,
        )
        seen = exact.scan(True)
    counted = {name: [cost.cpu * 1e3 for cost in each] for name, each in costs.items()}
    return {**counted, "vmas": [sum(seen.kinds)], "processes": [len(seen.processes)]}


def _rested(work: Callable[[], object]) -> Cost:
    time.sleep(REST)
    return cost_of(work)


def measured(kernel: str, size: list[str]) -> dict[str, list[float]]:
    """What ``inside`` says in a guest of this kernel. Raises LabError."""
    root = str(Path(__file__).parents[1])
    stdout, stderr = bytearray(), bytearray()
    script = f'cd "{root}" && PYTHONPATH="{root}:$PYTHONPATH" exec "$@"'
    ending = run_streaming(
        kernel,
        ["sh", "-c", script, "sh", sys.executable, "-m", "bench.instructions", "--inside", *size],
        machine=Machine(memory=1024 * MIB, cpus=1, counts_instructions=True),
        timeout=TIMEOUT,
        out_dir=None,
        stdin=b"",
        stdout=stdout.extend,
        stderr=stderr.extend,
        accelerator="tcg",
    )
    if ending.status:
        said = stderr.decode(errors="replace")[-2000:]
        raise LabError(f"{kernel}: status {ending.status}: {said}", "see what the guest said")
    answer: dict[str, list[float]] = json.loads(stdout)
    return answer


def told(kernel: str, answer: dict[str, list[float]]) -> tuple[str, Spread]:
    """A row of the table, and the ratio."""
    ratio = paired(answer["scan"], answer["cat"])
    scan, cat = (spread(answer[name]).median for name in ("scan", "cat"))
    cells = [
        kernel, f"{answer['processes'][0]:.0f}", f"{answer['vmas'][0]:,.0f}", f"{scan:.1f}",
        f"{cat:.1f}", f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |", ratio


def main() -> int:
    """The table on stdout, as docs/bench.md has it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", default=" ".join(KERNELS), help="the first is compared with")
    parser.add_argument("--vmas", type=int, default=30_000, help="of one process")
    parser.add_argument("--processes", type=int, default=100, help="that sleep")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(inside(arguments.vmas, arguments.processes, arguments.rounds)))
        return 0
    size = [f"--{name}={getattr(arguments, name)}" for name in ("vmas", "processes", "rounds")]
    print("| kernel | processes | VMAs | scan, million | cat, million | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    first: float | None = None
    for kernel in arguments.kernels.split():
        row, ratio = told(kernel, measured(kernel, size))
        print(row, flush=True)
        first = first or ratio.median
        print(f"bench: {kernel}: {ratio.median / first:.2f} of the first", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
