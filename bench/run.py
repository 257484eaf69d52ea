# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.run``: measures every figure, writes bench/results/ and docs/bench.md."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    blaming,
    by_hand,
    check,
    exporter,
    latency,
    million,
    rebuilding,
    sampling,
    scans,
    watching,
)
from bench.children import OUT, wait_for_all
from bench.figures import Figure
from bench.machine import ALONE, commit, conditions, load_average
from bench.plan import QUICK, Plan
from bench.report import PAGE, RESULTS, SCHEMA, Run, page, read_runs, results_file, table_lines
from vmad.errors import VmadError

PARTS: dict[str, Callable[[Plan], list[Figure]]] = {
    "scans": scans.measure,
    "by-hand": by_hand.measure,
    "sampling": sampling.measure,
    "check": check.measure,
    "exporter": exporter.measure,
    "latency": latency.measure,
    "million": million.measure,
    "watching": watching.measure,
    "blaming": blaming.measure,
    "rebuilding": rebuilding.measure,
}


def run(plan: Plan, parts: list[str]) -> dict[str, Any]:
    """Measure these parts; returns what results/PROCESSOR.json holds. Raises VmadError."""
    began, started = time.monotonic(), datetime.now(UTC)
    # other work on the machine disturbs less; what is compared runs at the same priority
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    _compile()
    machine = conditions()
    figures: list[Figure] = []
    load: dict[str, tuple[float, float]] = {}
    for name in parts:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        before = load_average()
        figures += PARTS[name](plan)
        wait_for_all()
        load[name] = before, load_average()
    return {
        "schema": SCHEMA,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "took_seconds": round(time.monotonic() - began, 1),
        "commit": commit(),
        "machine": {**machine, "load": load},
        "figures": [figure.to_json() for figure in figures],
    }


def main(arguments: list[str] | None = None) -> int:
    """0, also when figures were missed: the table says so; 1 when something could not be run."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke run of seconds: shows that the bench works, its figures mean nothing",
    )
    parser.add_argument("--only", choices=tuple(PARTS), help="one part of it")
    chosen = parser.parse_args(arguments)
    whole = not (chosen.quick or chosen.only)
    _alone()
    # unwind the with blocks, which end the processes under test
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    long = "seconds" if chosen.quick else "one to three minutes" if chosen.only else "eight minutes"
    print(f"bench: this takes about {long}", file=sys.stderr, flush=True)
    try:
        results = run(QUICK if chosen.quick else Plan(), [chosen.only] if chosen.only else [*PARTS])
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        ran = Run.from_json(results)
        if whole:
            file = results_file(ran.processor)
            RESULTS.mkdir(exist_ok=True)
            file.write_text(text, "utf-8")
            PAGE.write_text(page(read_runs()), "utf-8")
            written = f"{file}, {PAGE}"
        else:
            written = str(_aside(text, page([ran])))
    except KeyboardInterrupt:
        return 130
    except (VmadError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(table_lines([ran])))
    print(f"bench: wrote {written}", file=sys.stderr)
    return 0


def _compile() -> None:
    """Write down vmad's bytecode, as pip and dpkg do where they install: numpy's is there, too.

    Where PYTHONDONTWRITEBYTECODE is set nobody else does, and each start compiles all of it anew.
    """
    compileall.compile_dir(Path(__file__).parent.parent / "vmad", quiet=2)


def _alone() -> None:
    """Start again in a PID namespace with a /proc of its own, where that is allowed.

    /proc and the kernel's task iterator (kernel/bpf/task_iter.c) show the processes of the
    namespace alone: so "nothing changed" holds whatever else runs on the machine, and both sides of
    a figure see the same processes.
    """
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if ALONE in os.environ or subprocess.run([*unshare, "true"], check=False).returncode != 0:
        return
    os.environ[ALONE] = "yes"
    command = [*unshare, sys.executable, "-m", "bench.run", *sys.argv[1:]]
    child = subprocess.Popen(command, start_new_session=False)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(child.wait())


def _aside(results: str, document: str) -> Path:
    """A part or a smoke run never replaces the results of a whole one."""
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.md").write_text(document, "utf-8")
    file = OUT / "results.json"
    file.write_text(results, "utf-8")
    return file


if __name__ == "__main__":
    sys.exit(main())
