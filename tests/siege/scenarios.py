# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What clients do to an exporter, and what a few honest scrapers beside them meet."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tests.siege.clients import Client, Clients, Crowd, Tally
from tests.siege.subjects import Subject

#: seconds between two scrapes of an honest scraper: they are many for their few
PAUSE = 0.2
HONEST = 5
#: where honest scrapers come from, and where those who besiege do unless told otherwise
HONEST_ADDRESS, OTHER_ADDRESS = "127.0.0.1", "127.0.0.2"

Besiegers = Callable[[Clients, Tally], Iterator[Client]]


def fifty_scrapers(clients: Clients, tally: Tally) -> Iterator[Client]:
    """50 scrapers, each again 100 ms after its answer."""
    return (clients.scraper(tally, 0.1) for _ in range(50))


def silent(clients: Clients, tally: Tally) -> Iterator[Client]:
    """500 silent connections."""
    return (clients.silent(number / 500) for number in range(500))


def slow(clients: Clients, tally: Tally) -> Iterator[Client]:
    """50 slow readers and 50 slow writers."""
    yield from (clients.slow_reader() for _ in range(50))
    yield from (clients.slow_writer() for _ in range(50))


def flood(clients: Clients, tally: Tally) -> Iterator[Client]:
    """50 clients without a pause."""
    return (clients.scraper(tally, 0) for _ in range(50))


def storm(clients: Clients, tally: Tally) -> Iterator[Client]:
    """10,000 scrapes a second, whether they are answered or not."""
    yield clients.storm(tally, 10_000)


def large(clients: Clients, tally: Tally) -> Iterator[Client]:
    """10 clients that ask for JSON without a pause, 40 that never read it."""
    yield from (clients.scraper(tally, 0, "/api/v1/scan") for _ in range(5))
    yield from (clients.scraper(tally, 0, "/api/v1/explain/1") for _ in range(5))
    yield from (clients.slow_reader("/api/v1/scan") for _ in range(40))


def nobody(clients: Clients, tally: Tally) -> Iterator[Client]:
    """Nobody but those who scrape."""
    return iter(())


#: what any exporter can be besieged with, and what only vmad has
COMMON: tuple[Besiegers, ...] = (fifty_scrapers, silent, slow, flood, storm)
OURS: tuple[Besiegers, ...] = (*COMMON, large)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scenario."""

    subject: str
    scenario: str
    honest: Tally
    besiegers: Tally
    seconds: float
    cpu_seconds: float
    resident: int  #: bytes, at most
    interval: float | None  #: the effective one; of vmad alone

    @property
    def answered(self) -> int:
        """Honest scrapes."""
        return len(self.honest.latencies)

    @property
    def lost(self) -> int:
        """Honest scrapes that were refused or not answered."""
        return self.honest.statuses.total() - self.answered

    def row(self) -> str:
        """Of a table."""
        asked = self.besiegers.statuses
        rate = f"{asked['200'] / self.seconds:,.0f}/s" if asked else "–"
        if asked and asked.total() != asked["200"]:
            others = (asked.total() - asked["200"]) / self.seconds
            rate += f", refused or lost {others:,.0f}/s"
        figures = (
            f"{self.answered} of {self.answered + self.lost}",
            *(f"{self.honest.quantile(part) * 1e3:.1f}" for part in (0.5, 0.99, 1)),
            rate,
            f"{self.cpu_seconds / self.seconds:.0%}",
            f"{self.resident / 2**20:.0f}",
            "" if self.interval is None else f"{self.interval:g}",
        )
        return f"| {self.subject} | {self.scenario} | {' | '.join(figures)} |"


HEAD = (
    "| who | besieged by | scrapes answered | p50 ms | p99 ms | max ms | besiegers' requests | CPU "
    "| RSS at most, MiB | interval s |\n|---|---|---|---|---|---|---|---|---|---|"
)


def besiege(
    subject: Subject, besiegers: Besiegers, seconds: float, source: str = OTHER_ADDRESS
) -> Outcome:
    """Run one scenario; those who besiege come from ``source``."""
    crowd, clients = Crowd(), Clients(subject.address, HONEST_ADDRESS, subject.path)
    honest, others = Tally(), Tally()
    before = subject.cpu_seconds
    scrapers = (clients.scraper(honest, PAUSE) for _ in range(HONEST))
    enemies = besiegers(Clients(subject.address, source, subject.path), others)
    crowd.run((*scrapers, *enemies), seconds)
    return Outcome(
        subject.name,
        (besiegers.__doc__ or "").rstrip("."),
        honest,
        others,
        seconds,
        subject.cpu_seconds - before,
        subject.resident,
        effective_interval(subject) if subject.name == "vmad" else None,
    )


def effective_interval(subject: Subject) -> float | None:
    """Seconds; None where it does not say."""
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://{subject.address}/metrics", timeout=30) as reply,
    ):
        text = reply.read().decode()
        found = re.search(r'^vmad_scan_interval_seconds\{kind="effective"\} (\S+)$', text, re.M)
        return float(found[1]) if found else None
    return None
