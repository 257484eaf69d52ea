# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page at /explain/PID: one process, how near, why, what to change, and its picture."""

from __future__ import annotations

from vmad.export.other_limits_text import not_this_limit
from vmad.export.printable import printable
from vmad.export.quantities import count, duration
from vmad.scan.headroom import thresholds
from vmad.web.pages.causes import causes_section
from vmad.web.pages.change import change_section, vanish_section
from vmad.web.pages.chart import chart, legend
from vmad.web.pages.document import document
from vmad.web.pages.history import group_link, history_link
from vmad.web.pages.kinds import kinds_table
from vmad.web.pages.markup import (
    Column,
    Html,
    Table,
    bar,
    growth,
    join,
    level,
    moment,
    name,
    number,
    section,
    share,
    text,
)
from vmad.web.pages.process_view import ProcessView

#: names of files shown
NAMES_SHOWN = 10


def render_process(view: ProcessView) -> bytes:
    """The page as HTML in UTF-8."""
    table = view.explanation.table
    title = f"{printable(table.comm)} (pid {table.id.pid})"
    main = join(
        (
            _summary(view),
            _first_to_fail(view),
            _past(view),
            _picture(view),
            causes_section(view.explanation),
            change_section(view),
            vanish_section(view.explanation),
            _composition(view),
            _more(view),
        )
    )
    return document(title, Html(f"{_header(view)}<main>{main}</main>"), view.query, picture=True)


def _header(view: ProcessView) -> Html:
    table, kernel = view.explanation.table, view.explanation.kernel
    group = None if view.watched is None else view.watched.group
    of_group = f" · {group_link(group, view.query)}" if group else ""
    changing = "" if table.consistent else " · it changed while it was read"
    return Html(
        f'<header><p class="back"><a href="/{view.query}">{text(view.hostname)}</a></p>'
        f'<h1>{name(table.comm)} <span class="pid">pid {table.id.pid}</span></h1>'
        f"<p>read {moment(view.taken_at)}{of_group} · Linux {text(kernel.release)} · "
        f"evidence: {text(table.evidence.short)}{changing}</p></header>"
    )


def _card(title: str, value: Html, note: Html, kind: str = "") -> Html:
    return Html(
        f'<div class="card {kind}"><h2>{title}</h2><p class="value">{value}</p><p>{note}</p></div>'
    )


def _summary(view: ProcessView) -> Html:
    explanation = view.explanation
    now, limit = explanation.map_count, explanation.max_map_count
    spare = None if now is None or limit is None else max(limit - now, 0)
    mark = view.high_water
    of_limit = None if mark is None or not limit else mark / limit
    near = Html(f"{number(now)} of {number(limit)} VMAs{bar(explanation.ratio, of_limit)}")
    rate = None if view.watched is None else view.watched.rate
    left = None if view.watched is None else view.watched.seconds_to_limit
    stock, rebuild = (explanation.recoverable.get(rules) for rules in ("stock", "rebuild"))
    return join(
        (
            Html('<div class="cards">'),
            _card(
                "Of the limit", share(explanation.ratio), near, f"first {level(explanation.ratio)}"
            ),
            _card("To spare", number(spare), Html("until calls fail")),
            _card("High-water", number(mark), share(of_limit)),
            _card("Growth", growth(rate), _left(left)),
            _card(
                "Would vanish",
                number(
                    max((count for count in (stock, rebuild) if count is not None), default=None)
                ),
                Html("merged or rebuilt, on this kernel"),
            ),
            Html("</div>"),
        )
    )


def _left(seconds: float | None) -> Html:
    if seconds is None:
        return Html("no time to the limit can be told")
    if seconds == 0:
        return Html("at the limit now")
    return text(f"at the limit in {duration(seconds)}")


def _past(view: ProcessView) -> Html:
    past, process = view.past, view.explanation.table
    if past is None or not len(past.counts.known):
        return Html("")
    link = history_link(view.query, pid=process.id.pid)
    return section(
        "Last 2 hours",
        "Its VMAs, as they were counted every second.",
        chart(past, process.comm, small=True),
        legend(past.episodes()),
        Html(f'<p class="note after"><a href="{link}">More of it</a></p>'),
    )


_FAILING = Table(
    "What fails first",
    (
        Column("Call"),
        Column("Error"),
        Column("From", "number"),
        Column("Away", "number"),
    ),
)


def _first_to_fail(view: ProcessView) -> Html:
    explanation = view.explanation
    now, limit = explanation.map_count, explanation.max_map_count
    if now is None or limit is None:
        return Html("")
    rows = [
        (
            text(step.operation),
            text(step.error),
            number(step.fails_from),
            Html("fails now") if step.fails_from <= now else number(step.fails_from - now),
        )
        for step in thresholds(explanation.kernel, limit)
    ]
    parts = [_failed(view)]
    if view.far:
        said = not_this_limit(view.limits.others)
        parts.append(Html(f"<p>It is far from the limit: {text(said)}.</p>"))
    if view.far:
        summary = "What would fail first"
        parts.append(Html(f"<details><summary>{summary}</summary>{_FAILING.html(rows)}</details>"))
    else:
        parts.append(_FAILING.html(rows))
    note = "ENOMEM reads “Cannot allocate memory”, EAGAIN “Resource temporarily unavailable”."
    return section("What fails first", note, *parts)


def _failed(view: ProcessView) -> Html:
    failures = view.limits.failures
    if failures is None:
        return Html("")
    if not failures:
        since = view.limits.watched_since
        if since is None:
            return Html("")
        when = moment(since)
        return Html(
            f"<p>None of its calls has failed at the limit since {when}; before that nobody "
            "watched.</p>"
        )
    calls = ", ".join(
        f"{failure.call} {failure.error} {count(failure.count)} times" for failure in failures[:4]
    )
    last = max(failure.last for failure in failures)
    return Html(
        f'<p class="alarm">It has failed at the limit: {text(calls)}; last {moment(last)}.</p>'
    )


def _picture(view: ProcessView) -> Html:
    pid = view.explanation.table.id.pid
    note = (
        "Every block is a VMA, the lowest address first; "
        "its colour is what keeps it apart from the one below."
    )
    hidden = ""
    if not view.addresses:
        hidden = (
            '<p class="note after">Addresses and names of files are for who may read its maps: '
            f"<code>vmad map {pid} -o map.html</code> as its user or root, or a password "
            "(--web.config.file).</p>"
        )
    place = (
        f'<div class="picture" data-source="/api/v1/map/{pid}{view.query}">'
        "<noscript><p>The picture needs JavaScript; all else on this page does not.</p></noscript>"
        "</div>"
    )
    return section("The picture", note, Html(place), Html(hidden))


_NAMES = Table("Mapped most often", (Column("Name"), Column("VMAs", "number")))


def _composition(view: ProcessView) -> Html:
    explanation = view.explanation
    if not any(explanation.kinds):
        return section("What they are", "It has no VMA: it is exiting.")
    parts = [kinds_table("VMAs by kind", explanation.kinds)]
    names = [named for named in explanation.names if named.vmas > 1][:NAMES_SHOWN]
    if view.names and names:
        listed = _NAMES.html((name(named.name), number(named.vmas)) for named in names)
        parts.append(Html(f"<h3>Mapped most often</h3>{listed}"))
    return section("What they are", f"Its {count(sum(explanation.kinds))} VMAs, by kind.", *parts)


def _more(view: ProcessView) -> Html:
    pid, query = view.explanation.table.id.pid, view.query
    pairs = f"{query}&pairs=true" if query else "?pairs=true"
    links = [f'<a href="/api/v1/explain/{pid}{query}">summary as JSON</a>']
    if view.addresses:
        links.append(f'<a href="/api/v1/explain/{pid}{pairs}">all pairs as JSON</a> (large)')
    commands = "".join(
        f"<div><dt><code>{command}</code></dt><dd>{what}</dd></div>"
        for command, what in (
            (f"vmad explain {pid} --pages", "the same in a terminal, with every pair's pages"),
            (f"vmad map {pid} -o map.html", "this picture as a file"),
            (f"vmad capture {pid} -o process.vmad", "to look at it elsewhere"),
        )
    )
    return section(
        "More", "", Html(f"<p>{' · '.join(links)}</p><dl class='commands'>{commands}</dl>")
    )
