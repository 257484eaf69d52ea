# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What `vmad blame` costs: who is recorded, all others meanwhile, everybody afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from bench.children import built
from bench.figures import Asked, Figure
from bench.plan import Plan
from bench.ratios import paired, spread
from bench.watching import CALLS, TURNS, nanoseconds
from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.blame import WAYS, Recorder
from vmad.sources.bpf.libbpf import loaded_programs

#: seconds that the kernel may take to unload programs that were let go
_UNLOADED = 10.0
_OF_ALL = ("mmap", "written", "mprotect", "getppid")
_OF_OTHERS = ("mmap", "getppid")
_METHOD = (
    "bench/calls.c, a program that makes the call again and again, four times in turn: alone; "
    "another process recorded; itself recorded; the recorder gone and its programs unloaded. The "
    "lowest of {pieces} pieces of {turns} turns each."
)


def measure(plan: Plan) -> list[Figure]:
    """The figures of this part, by each way that this kernel has."""
    program = built("calls.c", "vmad-calls")
    figures = []
    for way in WAYS:
        try:
            Recorder(ways=(way,)).close()
        except EvidenceUnavailable as error:
            figures.append(
                Figure(f"blame-{way}", f"calls recorded by {way}", "", None, None, "", str(error))
            )
            continue
        figures += _figures(way, program, plan)
    return figures


def _figures(way: str, program: Path, plan: Plan) -> list[Figure]:
    taken: dict[tuple[str, str], list[float]] = {}

    def take(state: str, calls: tuple[str, ...]) -> None:
        for call in calls:
            taken.setdefault((state, call), []).append(nanoseconds(program, call, plan))

    step = plan.step(f"blame by {way}")
    for done in range(plan.watched_rounds):
        step(done)
        take("alone", _OF_ALL)
        with subprocess.Popen(["sleep", "600"]) as other:
            with Recorder(ways=(way,)) as recorder:
                recorder.begin(other.pid)
                take("beside", _OF_OTHERS)
            other.kill()
        with Recorder(ways=(way,), follow=True) as recorder:
            recorder.begin(os.getpid())
            take("recorded", _OF_ALL)
        _wait_until_unloaded()
        take("after", _OF_OTHERS)
    method = _METHOD.format(pieces=plan.watched_pieces, turns=TURNS)
    titles = {
        "recorded": f"recorded ({way})",
        "beside": f"while another process is recorded ({way})",
        "after": f"after a recording ({way})",
    }
    asked = {("after", call): Asked("<=", 1.03) for call in _OF_OTHERS}
    if way == "fexit":
        asked |= {("beside", call): Asked("<=", 1.03) for call in _OF_OTHERS}
    return [
        Figure(
            f"blame-{way}-{state}-{call}",
            f"{CALLS[call]}, {title}",
            "",
            asked.get((state, call)),
            paired(taken[state, call], taken["alone", call]),
            method,
            extra={
                "alone_ns": spread(taken["alone", call]).median,
                f"{state}_ns": spread(taken[state, call]).median,
            },
        )
        for state, title in titles.items()
        for call in _OF_ALL
        if (state, call) in taken
    ]


def _wait_until_unloaded() -> None:
    until = time.monotonic() + _UNLOADED
    while "vmad_exec" in (loaded_programs() or ()) and time.monotonic() < until:
        time.sleep(0.05)
