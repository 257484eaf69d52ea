# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person waits for: ``vmad scan`` and ``vmad explain``, started anew each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.children import Children
from bench.figures import Asked, Figure
from bench.measure import Cost, cost_of, cost_ratio, in_turn, milliseconds
from bench.plan import Plan
from bench.ratios import paired
from bench.scans import cat_maps

ROOT = Path(__file__).parent.parent
_SCAN = [sys.executable, "-m", "vmad", "scan", "--format", "json"]
_EXPLAIN = [sys.executable, "-m", "vmad", "explain"]
#: what `vmad explain` took over `import numpy` at 1139e5f, the last commit whose advice followed
#: the decisive reason alone (measured in turn with both trees, Linux 6.18): patterns, programs
#: and the atlas may not make a person wait longer
_BEFORE_SMALL, _BEFORE_LARGE = 3.75, 4.88


def _ran(command: list[str]) -> bytes:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def measure(plan: Plan) -> list[Figure]:
    """Four figures."""
    took: list[float] = []

    def scan() -> Cost:
        answer = b""

        def run() -> None:
            nonlocal answer
            answer = _ran(_SCAN)

        cost = cost_of(run)
        took.append(json.loads(answer)["took_seconds"])
        return cost

    with Children() as children:
        large = children.large(plan.large_vmas)
        children.small(plan.small_processes)
        costs = in_turn(
            {
                "scan": scan,
                "numpy": lambda: cost_of(lambda: _ran([sys.executable, "-c", "import numpy"])),
                "cat": lambda: cost_of(cat_maps),
                "large": lambda: cost_of(lambda: _ran([*_EXPLAIN, str(large.pid)])),
                "small": lambda: cost_of(lambda: _ran([*_EXPLAIN, str(os.getpid())])),
            },
            plan.rounds,
            plan.step("by hand"),
        )
    started = cost_ratio(costs["scan"], costs["numpy"])
    single = paired(took[1:], [cost.wall for cost in costs["cat"]])
    return [
        Figure(
            "command",
            "`vmad scan` as a command, CPU, start included, against `python3 -c 'import numpy'`",
            "",
            Asked("<=", 1.0),
            started.cpu,
            "The host of the first figure, in turn; the answer as JSON.",
            extra={"wall_ratio": started.wall.median}
            | milliseconds(costs["scan"], "scan")
            | milliseconds(costs["numpy"], "numpy"),
        ),
        Figure(
            "single",
            "the scan in it (took_seconds), against `cat` of all maps",
            "",
            Asked("<=", 0.7),
            single,
            "What the same commands say of themselves over the wall time of cat: nothing is warm.",
            extra=milliseconds(costs["cat"], "cat"),
        ),
        *(
            Figure(
                f"explain-{size}",
                f"`vmad explain` as a command, {of}, CPU, start included, against "
                "`python3 -c 'import numpy'`",
                "",
                Asked("<=", before),
                cost_ratio(costs[size], costs["numpy"]).cpu,
                "In turn with the above; asked is what it took before advice followed patterns.",
                extra=milliseconds(costs[size], "explain"),
            )
            for size, of, before in (
                ("small", "a process of some hundred VMAs", _BEFORE_SMALL),
                ("large", f"a process of {plan.large_vmas:,} VMAs", _BEFORE_LARGE),
            )
        ),
    ]
