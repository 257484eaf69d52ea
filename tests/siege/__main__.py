# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``make siege MINUTES=N``: vmad and its peers under the same load, as a table on stdout.

Exit status 1 when vmad lost a scrape of an honest scraper. In one run of 32 they have the lane of
the storm by chance, and lose some (vmad.web.lanes).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from tests.siege.scenarios import (
    COMMON,
    HEAD,
    HONEST_ADDRESS,
    OTHER_ADDRESS,
    OURS,
    Outcome,
    besiege,
)
from tests.siege.subjects import (
    PEERS,
    areas,
    churn,
    herd,
    netdata,
    node_exporter,
    process_exporter,
    vmad,
)


def main() -> int:
    """Run all scenarios, within about ``--minutes``."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=0, help="that exist besides")
    parser.add_argument("--areas", type=int, default=0, help="VMAs that exist besides")
    parser.add_argument("--churn", type=int, default=0, help="short processes a second besides")
    parser.add_argument(
        "--one-address",
        action="store_true",
        help="besiegers come from the address of the honest scrapers, too",
    )
    arguments = parser.parse_args()
    source = HONEST_ADDRESS if arguments.one_address else OTHER_ADDRESS
    peers = (process_exporter, node_exporter, netdata) if PEERS.is_dir() else ()
    if not peers:
        print("without peers: `make peers` fetches them", file=sys.stderr)
    seconds = arguments.minutes * 60 / (len(OURS) + len(peers) * len(COMMON))
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}; "
        f"{seconds:.0f} s each\n\n{HEAD}",
        flush=True,
    )
    failed: list[Outcome] = []
    with (
        herd(arguments.processes) as processes,
        areas(arguments.areas) as vmas,
        churn(arguments.churn),
    ):
        if processes or vmas:
            print(f"with {processes} processes and {vmas} VMAs more than usual", file=sys.stderr)
        for start, scenarios in ((vmad, OURS), *((peer, COMMON) for peer in peers)):
            with start() as subject:
                for scenario in scenarios:
                    outcome = besiege(subject, scenario, seconds, source)
                    print(outcome.row(), flush=True)
                    if subject.name == "vmad" and outcome.lost:
                        failed.append(outcome)
    return 1 if failed else 0


sys.exit(main())
