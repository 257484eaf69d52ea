# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.live.rebuild.programs``: rebuilds of what leaves VMAs apart in real programs.

Each stands still when it has made them, is rebuilt, and then goes on for so long under its own
checks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.live.rebuild.movers import heal

HERE = Path(__file__).parent
MIMALLOC = Path("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2")


class Result(NamedTuple):
    """``after``: map_count; ``reached``: VMAs that vanished. ``rounds`` were gone through then."""

    before: int
    predicted: int
    reached: int
    longest_stop: float
    left_out: dict[str, int]
    rounds: int
    wrong: int


def programs(folder: Path) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    """What to start, by name, with further variables of the environment."""
    binary = folder / "programs"
    flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-pthread")
    subprocess.run(["gcc", *flags, "-o", binary, HERE / "programs.c"], check=True)
    python = [sys.executable, str(HERE / "growing.py")]
    known: dict[str, tuple[list[str], Mapping[str, str]]] = {
        "CPython: 1,500 bytearrays grown in turn": ([*python, "bytearrays"], {}),
        "CPython: 400 lists grown by append": ([*python, "lists"], {}),
        "glibc: 200 vectors grown by realloc": ([str(binary), "vectors"], {}),
        "2,000 pieces of a reserve, committed at random": ([str(binary), "committed"], {}),
    }
    if MIMALLOC.exists():
        preloaded = {"LD_PRELOAD": str(MIMALLOC)}
        known["mimalloc 2, 64 threads"] = ([str(binary), "threads"], preloaded)
    if shutil.which("javac"):
        subprocess.run(["javac", "-d", folder, HERE / "Waves.java"], check=True)
        options = ["-XX:+UseShenandoahGC", "-Xmx2g", "-cp", str(folder)]
        known["JDK, Shenandoah, 2 GiB"] = (["java", *options, "Waves"], {})
    return known


def run(command: list[str], more: Mapping[str, str], seconds: float, max_stop: float) -> Result:
    """Rebuild one and let it go on."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **more},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        options = ("--rebuild", "--max-stop", max_stop, "--format", "json")
        planned = json.loads(heal(process.pid, *options).stdout)
        done = heal(process.pid, *options, "--apply")
        assert done.returncode == 0, done.stderr
        healed = json.loads(done.stdout) | {"predicted": planned["predicted"]}
        began = time.monotonic()
        answer = "0 0"
        while time.monotonic() < began + seconds or answer.startswith("0 "):
            process.stdin.write("\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, f"it ended: status {process.wait()}"
            time.sleep(0.1)
        process.kill()
    rounds, wrong = map(int, answer.split())
    return Result(
        healed["map_count_before"],
        healed["predicted"],
        healed["map_count_before"] - healed.get("map_count_after", healed["map_count_before"]),
        max(healed.get("stops_seconds", []), default=0.0),
        healed["left_out"],
        rounds,
        wrong,
    )


def main() -> int:
    """A table; 1 if any program found something wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--max-stop", type=float, default=10)
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, more) in programs(Path(folder)).items():
            result = run(command, more, arguments.seconds, arguments.max_stop)
            wrong += result.wrong
            print(
                f"| {name} | {result.before:,} | {result.predicted:,} | {result.reached:,} | "
                f"{result.longest_stop * 1e3:.1f} ms | {result.rounds:,} | {result.wrong} | "
                f"{result.left_out or ''}",
                flush=True,
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
