# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.ten_million``: hosts of 1, 3 and 10 million VMAs, by hand (3 GB of memory)."""

from __future__ import annotations

import sys

from bench.children import Children
from bench.daemon import Daemon, start_vmad
from bench.measure import cost_of
from bench.million import wait_for_scans
from bench.ratios import spread
from bench.subject import scanner

#: processes, of so many VMAs each
HOSTS, EACH = (17, 50, 167), 60_000
ROUNDS = 5
_CONFIG = "scan: {interval: 5s, full_every: 1, budget: 100%, events: false}\n"


def _asked(vmad: Daemon) -> None:
    for path in ("metrics", "", "api/v1/scan"):
        vmad.get(path)


def main() -> int:
    """Prints a line per host: VMAs, ns of CPU per VMA of a full scan, memory of a daemon."""
    with Children() as children, scanner("kernel") as subject:
        there = 0
        for processes in HOSTS:
            children.several_large(processes - there, EACH)
            there = processes
            subject.scan(True)
            costs = [cost_of(lambda: subject.scan(True)) for _ in range(ROUNDS)]
            vmas = sum(subject.scan(False).kinds)
            cpu, wall = (
                spread([seconds / vmas * 1e9 for seconds in each])
                for each in ([cost.cpu for cost in costs], [cost.wall for cost in costs])
            )
            vmad = start_vmad(children, _CONFIG)
            _asked(vmad)
            wait_for_scans(vmad, 4)
            _asked(vmad)
            rss, peak = vmad.rss() / 2**20, vmad.peak_rss() / 2**20
            children.end([vmad.process])
            print(
                f"{vmas:,} VMAs: CPU {cpu.median:.1f} ({cpu.low:.1f} to {cpu.high:.1f}) ns a VMA, "
                f"wall {wall.median:.1f}; daemon {rss:.1f} MiB, at most {peak:.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
