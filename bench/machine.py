# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np

#: set in the environment of a bench that sees only its own processes
ALONE = "VMAD_BENCH_ALONE"

HERE = Path(__file__).parent


def conditions() -> dict[str, str | int]:
    """Machine, kernel and libraries, for results/PROCESSOR.json."""
    return {
        "processor": _first_of("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count() or 0,
        "memory_MiB": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "max_map_count": int(Path("/proc/sys/vm/max_map_count").read_text("ascii")),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processes": "the benchmark's own (a PID namespace)"
        if ALONE in os.environ
        else "all of the machine",
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
    }


def _first_of(file: str, key: str) -> str:
    for line in Path(file).read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def load_average() -> float:
    """Of one minute."""
    return round(os.getloadavg()[0], 2)


def commit() -> str:
    """The checkout's commit, "+" where files differ from it; "unknown" without git or a commit."""
    if shutil.which("git") is None:
        return "unknown"
    git = ["git", "-C", str(HERE)]
    found = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True
    )
    if found.returncode != 0:
        return "unknown"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "../vmad"], check=False)
    return found.stdout.strip() + ("+" if changed.returncode else "")
