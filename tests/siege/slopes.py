# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Time in short: ``python -m tests.siege.slopes --minutes 10 --churn 2000``.

The daemon in a quick rhythm (a day has 5,760 scans by default configuration, an hour has 3,600 of
these) while processes come and go, scraped once a second; what it holds is looked at every five
seconds. Printed is how each grows over an hour, with the standard error of that growth: what leaks
does so at every scan, event or scrape, and stands out of the noise (``trend``). Exit status 1 when
something is not level. What the machine did meanwhile is told, not judged: more processes and
groups are more to remember.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from tests.siege.subjects import Subject, churn, restless, vmad
from tests.siege.trend import WARM, Verdict, trend

CONFIG = "scan: {interval: 1s, full_every: 5, budget: 20%}\n"
#: seconds between two looks
LOOK = 5.0
#: at most so long there is a process that does not hold still, while it warms up
RESTLESS = 20.0
JUDGED = ("resident", "threads", "descriptors", "bpf", "state", "log")
TOLD = ("told", "processes")
#: of a line of the log on a process near the limit or at it (vmad.daemon.limit_log)
_NEAR = re.compile(rb"\(pid \d+, .* VMAs")


@dataclass(frozen=True, slots=True)
class Look:
    """What the daemon holds at a moment: seconds, bytes, numbers."""

    at: float
    resident: int
    threads: int
    descriptors: int
    bpf: int  #: locked for BPF maps and programs (fdinfo)
    state: int  #: the files of the state directory
    log: int  #: lines of its own
    told: int  #: lines on processes near the limit, which others on the machine may be
    processes: int  #: of the machine at that moment


def look(subject: Subject, state: Path) -> Look:
    """Now."""
    proc = Path(f"/proc/{subject.process.pid}")
    rss = re.search(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
    assert rss is not None
    bpf = 0
    descriptors = 0
    for entry in (proc / "fdinfo").iterdir():
        try:
            text = entry.read_text()
        except OSError:  # closed meanwhile
            continue
        descriptors += 1
        if found := re.search(r"^memlock:\s+(\d+)", text, re.M):
            bpf += int(found[1])
    log = (proc / "fd/2").read_bytes().splitlines(keepends=True)
    return Look(
        time.monotonic(),
        int(rss[1]) * 1024,
        len(list((proc / "task").iterdir())),
        descriptors,
        bpf,
        sum(file.stat().st_size for file in state.iterdir()),
        sum(len(line) for line in log if not _NEAR.search(line)),
        sum(len(line) for line in log if _NEAR.search(line)),
        sum(name.isdecimal() for name in os.listdir("/proc")),
    )


def write(to: Path, looks: list[Look]) -> None:
    """All of them so far, a line each."""
    with to.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(field.name for field in fields(Look))
        lines.writerows(map(astuple, looks))


class Scraper:
    """Scrapes once a second, in a thread of its own. ``latencies`` in seconds."""

    def __init__(self, address: str) -> None:
        self.latencies: list[float] = []
        self.lost = 0
        self._address = address
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """And wait for the last one."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(1.0):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=10) as reply:
                    reply.read()
            except OSError:
                self.lost += 1
            else:
                self.latencies.append(time.monotonic() - began)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege.slopes")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--churn", type=int, default=2000, help="processes a second")
    parser.add_argument("--looks", type=Path, metavar="FILE", help="write every look, as CSV")
    arguments = parser.parse_args()
    looks: list[Look] = []
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        with (
            vmad(CONFIG, state) as subject,
            churn(arguments.churn),
            ExitStack() as while_it_warms_up,
        ):
            scraper = Scraper(subject.address)
            began, spent = time.monotonic(), subject.cpu_seconds
            # what is loaded when it is first needed, for a process that does not hold still
            while_it_warms_up.enter_context(restless(30_000))
            while time.monotonic() < began + seconds:
                if time.monotonic() > began + min(RESTLESS, seconds * WARM):
                    while_it_warms_up.close()
                looks.append(look(subject, state))
                if arguments.looks is not None:
                    write(arguments.looks, looks)
                time.sleep(LOOK)
            cpu = (subject.cpu_seconds - spent) / (time.monotonic() - began)
            scraper.stop()
            with urllib.request.urlopen(f"http://{subject.address}/metrics", timeout=30) as reply:
                text = reply.read().decode()
    p50, p99 = np.quantile(scraper.latencies, [0.5, 0.99]) * 1e3
    print(
        f"{arguments.minutes:g} minutes, load {os.getloadavg()[0]:.1f}, CPU {cpu:.0%}, scrapes: "
        f"{len(scraper.latencies)}, lost {scraper.lost}, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    for name in ("scans_total", "samples_total", "events_total", "event_overruns_total"):
        print(*re.findall(rf"^vmad_{name}.*", text, re.M), sep="\n")
    print("\n| what | mean | growth in an hour | ± | |\n|---|---|---|---|---|")
    at = [one.at for one in looks]
    level = True
    for name in (*JUDGED, *TOLD):
        found = trend(at, [getattr(one, name) for one in looks])
        judged = found.verdict if name in JUDGED else ""
        level &= name not in JUDGED or found.verdict is Verdict.LEVEL
        print(
            f"| {name} | {found.mean:,.0f} | {found.growth:+,.0f} | {found.error:,.0f} | {judged} |"
        )
    return 0 if level else 1


if __name__ == "__main__":
    sys.exit(main())
