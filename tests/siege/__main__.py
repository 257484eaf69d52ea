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
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from threading import Timer

from tests.siege.hostile import APART, apart, held, named, reborn
from tests.siege.scenarios import (
    COMMON,
    HEAD,
    HONEST_ADDRESS,
    OTHER_ADDRESS,
    OURS,
    Outcome,
    besiege,
    nobody,
)
from tests.siege.subjects import (
    PEERS,
    Subject,
    areas,
    churn,
    herd,
    netdata,
    node_exporter,
    process_exporter,
    restless,
    vmad,
)

#: seconds; vmad's first scan waits for the lock of nobody
STARTS_WITHIN = 20.0
#: what there is to be read, besides all the rest of the machine
TARGETS: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    "a process whose mmap_lock is held for ever": held,
    "names that are markup and escapes": named,
    "a number that is another process all the time": partial(reborn, 10**9, 400),
    "a process in namespaces of its own": partial(apart, *APART),
    "30,000 VMAs that change without a pause": partial(restless, 30_000),
}


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
    parser.add_argument(
        "--hostile",
        action="store_true",
        help="nobody besieges; a process is hard to read instead, one kind after another",
    )
    arguments = parser.parse_args()
    source = HONEST_ADDRESS if arguments.one_address else OTHER_ADDRESS
    peers = (process_exporter, node_exporter, netdata) if PEERS.is_dir() else ()
    if not peers:
        print("without peers: `make peers` fetches them", file=sys.stderr)
    starts = (vmad, *peers)
    rounds = (
        len(starts) * len(TARGETS) if arguments.hostile else len(OURS) + len(peers) * len(COMMON)
    )
    seconds = arguments.minutes * 60 / rounds
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}; "
        f"{seconds:.0f} s each\n\n{HEAD}",
        flush=True,
    )
    if arguments.hostile:
        return _hostile(starts, seconds)
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


def _hostile(
    starts: Sequence[Callable[[], AbstractContextManager[Subject]]], seconds: float
) -> int:
    """A row for each kind of process that is hard to read, and each subject."""
    lost = 0
    for what, target in TARGETS.items():
        for start in starts:
            # who waits for its lock cannot be ended before it is gone, and may not even start
            with ExitStack() as while_it_is_there:
                while_it_is_there.enter_context(target())
                gone = Timer(STARTS_WITHIN, while_it_is_there.close)
                gone.start()
                with start() as subject:
                    if gone.finished.is_set():
                        late = f"does not start within {STARTS_WITHIN:g} s"
                        print(f"| {subject.name} | {what} | {late} |" + " |" * 7, flush=True)
                        continue
                    gone.cancel()
                    outcome = replace(besiege(subject, nobody, seconds), scenario=what)
                    while_it_is_there.close()
            print(outcome.row(), flush=True)
            lost += outcome.lost if outcome.subject == "vmad" else 0
    return 1 if lost else 0


sys.exit(main())
