# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is read first: who is at the limit now, and the cards that sum the host up."""

from __future__ import annotations

from collections.abc import Sequence

from vmad.scan.headline import AtLimit, soonest
from vmad.scan.snapshot import HostSnapshot
from vmad.web.pages.markup import Html, join, level, name, number, process_link, share, time_left

#: processes at the limit that the headline names
AT_LIMIT_SHOWN = 3


def at_limit_section(at_it: Sequence[AtLimit], query: str) -> Html:
    """The headline while somebody is at the limit; nothing else is as urgent."""
    if not at_it:
        return Html("")
    failing = [entry for entry in at_it if entry.failing]
    named = join(
        (
            Html(
                f'<a href="/explain/{entry.process.id.pid}{query}">{name(entry.process.comm)}</a> '
                f"({entry.process.id.pid}){', failing' if entry.failing else ''}"
            )
            for entry in at_it[:AT_LIMIT_SHOWN]
        ),
        "; ",
    )
    more = len(at_it) - AT_LIMIT_SHOWN
    rest = f" and {more:,} more" if more > 0 else ""
    told = (
        "Its calls are refused while memory is free: mmap, munmap and mprotect with ENOMEM, new "
        "threads with EAGAIN."
        if failing
        else "The next call that needs a VMA is refused. None was seen to fail in the last minute."
    )
    return Html(
        f'<section class="now" role="alert"><h2>At the limit now: {named}{rest}</h2>'
        f"<p>{told} A name leads to what keeps its VMAs apart and what to do.</p></section>"
    )


def _card(title: str, value: Html, note: Html, kind: str = "") -> Html:
    return Html(
        f'<div class="card {kind}"><h2>{title}</h2><p class="value">{value}</p><p>{note}</p></div>'
    )


def summary(host: HostSnapshot, query: str) -> Html:
    """The cards: nearest, limit, next, VMAs, recoverable."""
    worst = host.processes[0] if host.processes else None
    limit = number(host.max_map_count)
    who = Html("no process could be read")
    if worst is not None:
        link = process_link(worst.comm, worst.id.pid, query)
        who = Html(f"{link}: {number(worst.map_count)} of {limit}")
    first = soonest(host)
    recoverable = host.recoverable
    return join(
        (
            Html('<div class="cards">'),
            _card(
                "Nearest to the limit",
                share(worst.ratio if worst else None),
                who,
                f"first {level(worst.ratio if worst else None)}",
            ),
            _card("Limit per process", limit, Html("sysctl <code>vm.max_map_count</code>")),
            _card(
                "Next at the limit",
                time_left(first.seconds_to_limit if first else None, "nobody is on the way"),
                process_link(first.comm, first.id.pid, query)
                if first
                else Html("nobody is on the way"),
            ),
            _card(
                "VMAs on this host",
                number(sum(host.kinds)),
                Html(f"in {number(len(host.processes))} processes"),
            ),
            _card(
                "Recoverable VMAs",
                number(recoverable.get("stock")),
                Html(f"{number(recoverable.get('relaxed'))} on the patched kernel"),
            ),
            Html("</div>"),
        )
    )
