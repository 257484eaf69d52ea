# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page at /: who is near the limit, how fast, why, and how vmad itself does.

Rendered on the server, complete without scripts, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

from time import time

from vmad.export.quantities import duration
from vmad.scan.headline import at_limit
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats
from vmad.timeline.selection import USUAL
from vmad.timeline.timeline import Timeline
from vmad.web.pages.bursts import bursts_section
from vmad.web.pages.chart import chart, legend
from vmad.web.pages.document import document
from vmad.web.pages.failures import failures_section
from vmad.web.pages.headline import at_limit_section, summary
from vmad.web.pages.health import health_section
from vmad.web.pages.history import history_link, past_of_host
from vmad.web.pages.kinds import kinds_table
from vmad.web.pages.markup import Html, join, moment, section, text
from vmad.web.pages.pairs import pairs_section
from vmad.web.pages.who import Past, groups_section, processes_section

#: seconds after which a browser renews the page by its script
RENEWED = 5
#: seconds between two looks while there is nothing to show
REFRESH = 2


def render_page(
    snapshot: HostSnapshot | None,
    stats: SelfStats,
    now: float | None = None,
    *,
    target: str | None = None,
    why_not: str | None = None,
    timeline: Timeline | None = None,
) -> bytes:
    """The page as HTML in UTF-8; before the first scan (None) one that says so and looks again.

    ``now`` (Unix seconds) defaults to the clock.
    ``target`` names a machine that is watched beside this one, ``why_not`` says why it is not.
    ``timeline`` is its history.
    """
    now = time() if now is None else now
    query = "" if target is None else f"?target={target}"
    if snapshot is None:
        title = "The first scan is under way" if why_not is None else "It cannot be read"
        waiting = (
            f"<header><h1>{text(target or 'vmad')}</h1></header><main><section><h2>{title}</h2>"
            f"<p>{text(why_not or '')}</p><p>This page looks again every {REFRESH} seconds.</p>"
            "</section>"
        )
        waiting += health_section(None, stats, now)
        return document(target or "vmad", Html(waiting + "</main>"), query, refresh=REFRESH)
    host = snapshot
    past = Past(timeline or Timeline(), now)
    main = join(
        (
            at_limit_section(at_limit(host, stats.machine.limit_failures, now), query),
            summary(host, query),
            failures_section(stats.machine.limit_failures, query),
            _history_section(past, query),
            groups_section(host, past, query),
            bursts_section(host, query),
            pairs_section(host, query),
            _kinds_section(host),
            processes_section(host, past, query),
            health_section(host, stats, now),
        )
    )
    body = Html(f'{_header(host, now)}<main data-live="{RENEWED}">{main}</main>')
    return document(f"vmad: {host.hostname}", body, query)


def _header(host: HostSnapshot, now: float) -> Html:
    patched = ", with the anon_vma series" if host.kernel.patched else ""
    seen = {"kernel": "exact, from the kernel by BPF", "procfs": "what /proc shows"}
    evidence = seen.get(host.evidence.value, host.evidence.value)
    if host.walk.startswith("qemu"):
        evidence = "exact, from the guest's memory by QEMU"
    return Html(
        f"<header><h1>{text(host.hostname)}</h1><p>Linux {text(host.kernel.release)}{patched}"
        f" · evidence: {text(evidence)}</p><p>{_ages(host, now)}</p></header>"
    )


def _ages(host: HostSnapshot, now: float) -> Html:
    """How old the numbers are: counts and what was walked."""
    scanned = Html(f"walked {moment(host.taken_at)}, {_ago(now - host.taken_at)}")
    if host.counted_at is None or host.counted_at <= host.taken_at:
        return scanned
    return Html(f"counted {moment(host.counted_at)}, {_ago(now - host.counted_at)} · {scanned}")


def _ago(seconds: float) -> Html:
    return text("just now" if seconds < 1 else f"{duration(round(seconds))} ago")


def _history_section(past: Past, query: str) -> Html:
    of_host = past_of_host(past.timeline, USUAL, past.now)
    if not len(of_host.counts.known):
        return Html("")
    return section(
        "Last 2 hours",
        "VMAs of the process that had most, whichever it was.",
        chart(of_host, "VMAs of the worst process", small=True),
        legend(of_host.episodes()),
        Html(f'<p class="note after"><a href="{history_link(query)}">More of it</a></p>'),
    )


def _kinds_section(host: HostSnapshot) -> Html:
    note = "What the VMAs of all processes are. Deleted files and shared memory point to a leak."
    table = kinds_table("VMAs of the host by kind", host.kinds)
    return section("Composition", note, table if any(host.kinds) else Html("<p>No VMAs.</p>"))
