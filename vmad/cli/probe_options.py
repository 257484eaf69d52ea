# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Options and words that probe and heal share."""

from __future__ import annotations

import argparse
import math
import statistics
from typing import Any

from vmad.cli.terminal import Progress
from vmad.export.quantities import duration
from vmad.model.process import Evidence, ProcessId
from vmad.probe.client import ProbeRun, probe

DEFAULT_MAX_STOP = 50.0

#: seconds of standing still, all stops together, that a person is asked about before
MUCH = 0.5
#: seconds that a boundary takes: measured on two small cores with 100 to 60,000 VMAs
#: (docs/probe.md). With procfs evidence smaps is read twice, the whole of it.
_PER_BOUNDARY, _PER_VMA_OF_SMAPS = 100e-6, 20e-6


def milliseconds(text: str) -> float:
    """Milliseconds as an argument: from 1 to 10,000."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1 and 10000 milliseconds")
    return value


def address(text: str) -> int:
    """An address as an argument, as explain prints it: 0x… or bare hex digits."""
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if not 0 < value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as 0x7f0000001000")
    return value


def add_stop_option(parser: argparse.ArgumentParser, default: str = "") -> None:
    """--max-stop; with words about its ``default`` it is None where it is not given."""
    parser.add_argument(
        "--max-stop",
        type=milliseconds,
        default=None if default else DEFAULT_MAX_STOP,
        metavar="MS",
        help="longest time that the process may stand still at once; a process that does not "
        f"stop by then is let go (default {default or f'{DEFAULT_MAX_STOP:.0f} ms'})",
    )


def expected_stop(boundaries: int, map_count: int | None, evidence: Evidence) -> float:
    """About how many seconds the process will stand still in all, for so many boundaries."""
    each = _PER_BOUNDARY
    if evidence is not Evidence.KERNEL:
        each += _PER_VMA_OF_SMAPS * (map_count or 0)
    return boundaries * each


def run_probe(
    process: ProcessId, boundaries: list[int], progress: Progress, **how: Any
) -> ProbeRun:
    """Ask about all boundaries, telling a person how far it is. Raises what probe raises."""
    run = ProbeRun()
    for run in probe(process, boundaries, **how):
        progress.step(f"vmad: asked about {len(run.answers):,} of {len(boundaries):,} boundaries")
    return run


def stop_text(run: ProbeRun) -> str:
    """How long the process stood still, for people."""
    if not run.stops:
        return "It was not stopped."
    micro = sorted(stop * 1e6 for stop in run.stops)
    many = f"{len(micro):,} times" if len(micro) > 1 else "once"
    total = f", {duration(sum(run.stops))} in all" if len(micro) > 1 else ""
    threads = "1 thread" if run.threads == 1 else f"{run.threads:,} threads"
    return (
        f"Stopped {many} ({threads}): median {statistics.median(micro):,.0f} µs, "
        f"longest {micro[-1]:,.0f} µs{total}."
    )
