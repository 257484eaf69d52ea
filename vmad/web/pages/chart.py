# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A chart of counts over time: lines are SVG that stretches, words are HTML that does not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np

from vmad.export.quantities import count, counted, duration
from vmad.timeline.rings import MISSING, Series
from vmad.web.pages.markup import Html, text
from vmad.web.pages.past import Episode, Happened, Past, bridged

#: units of the drawing, whatever its size on the screen
WIDTH, HEIGHT = 1000.0, 100.0
#: the limit is drawn where the counts come to this share of it
SHOW_LIMIT = 0.25
#: seconds between two times that are written below, by the longest span that they serve
_TICKS = ((300, 60), (900, 180), (3600, 900), (7200, 1800), (21_600, 3600), (86_400, 14_400))
#: bands and lines, behind the counts and before them
_BEHIND = (Happened.UNWATCHED, Happened.STRETCHED)

WORDS = {
    Happened.FAILED: "failed at the limit",
    Happened.FULL: "at the limit",
    Happened.STARTED: "vmad was started",
    Happened.STRETCHED: "scans further apart than configured, for the budget",
    Happened.UNWATCHED: "vmad was not running",
}


def chart(past: Past, what: str, *, small: bool = False) -> Html:
    """``what`` says whose counts these are. Everything is said in words too."""
    series, limit = past.counts, past.newest_limit
    known = series.known
    if not len(known):
        return Html('<p class="note">Nothing is remembered of this time.</p>')
    most = int(np.max(known))
    with_limit = limit is not None and most >= SHOW_LIMIT * limit
    top, every = _scale(max(most, limit or 0) if with_limit else most)
    span = len(series.values) * series.step
    said = f"{what}: {count(int(np.min(known)))} to {count(most)} VMAs in {duration(span)}"
    if limit is not None:
        said += f"; the limit is {count(limit)}"
    episodes = past.episodes()
    lines = "".join(
        f'<line class="grid" x1="0" x2="{WIDTH:g}" y1="{y:.2f}" y2="{y:.2f}"/>'
        for value in range(every, top + 1, every)
        for y in (_y(value, top),)
    )
    if with_limit:
        y = _y(limit or 0, top)
        lines += f'<line class="limit" x1="0" x2="{WIDTH:g}" y1="{y:.2f}" y2="{y:.2f}"/>'
    marks = "".join(_mark(episode, series) for episode in episodes)
    labels = "".join(
        f'<span class="y" style="bottom:{100 * value / top:.2f}%">{count(value)}</span>'
        for value in range(0, top + 1, every)
    )
    if with_limit:
        labels += (
            f'<span class="y limit" style="bottom:{100 * (limit or 0) / top:.2f}%">limit</span>'
        )
    return Html(
        f'<figure class="chart{" small" if small else ""}" role="img" aria-label="{text(said)}">'
        f'<div class="plot">{marks}<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        f'preserveAspectRatio="none" aria-hidden="true">{lines}{_line(bridged(series), top)}</svg>'
        f"{labels}{_times(series)}</div></figure>"
    )


def legend(episodes: Iterable[Episode]) -> Html:
    """What the marks that are there mean."""
    there = {episode.what for episode in episodes} - {Happened.FULL}
    items = "".join(
        f'<span><i class="{what.value}"></i>{text(WORDS[what])}</span>'
        for what in Happened
        if what in there
    )
    return Html(f'<p class="legend">{items}</p>' if items else "")


def happened(episodes: Iterable[Episode]) -> Html:
    """The same in words, the latest first; nothing where nothing happened."""
    rows = "".join(
        f"<div><dt>{_when(episode)}</dt><dd>{text(said(episode))}</dd></div>"
        for episode in episodes
    )
    return Html(f'<dl class="happened">{rows}</dl>' if rows else "")


def said(episode: Episode) -> str:
    """An episode in words."""
    words = WORDS[episode.what]
    if episode.what is Happened.FAILED:
        return f"{words}, {counted(episode.most, 'call')}"
    if episode.what is Happened.FULL:
        return f"{words}, with {count(episode.most)} VMAs"
    if episode.what is Happened.STARTED and episode.most > 1:
        return f"{words}, {counted(episode.most, 'time')}"
    if episode.what is Happened.STRETCHED:
        return f"{words}: up to {episode.most / 100:.3g} times"
    if episode.what is Happened.UNWATCHED:
        return f"{words}, for {duration(episode.end - episode.start)}"
    return words


def _when(episode: Episode) -> str:
    start, end = (datetime.fromtimestamp(at, UTC) for at in (episode.start, episode.end))
    shown = f"{start:%Y-%m-%d %H:%M:%S}"
    return (
        f'<time datetime="{start:%Y-%m-%dT%H:%M:%SZ}">{shown}</time>'
        f'–<time datetime="{end:%Y-%m-%dT%H:%M:%SZ}">{end:%H:%M:%S}</time>&#8239;UTC'
    )


def _scale(most: int) -> tuple[int, int]:
    """(top, distance of lines): whole numbers that a person likes, a little above the highest."""
    rough = max(most, 4) * 1.04 / 4
    unit = 10 ** math.floor(math.log10(rough))
    every = next(int(unit * f) for f in (1, 2, 2.5, 5, 10) if unit * f >= rough and unit * f >= 1)
    return every * max(math.ceil(most * 1.04 / every), 1), every


def _y(value: float, top: int) -> float:
    return HEIGHT * (1 - value / top)


def _x(at: float, series: Series) -> float:
    """Percent of the width."""
    return 100 * min(max((at - series.start) / (series.until - series.start), 0.0), 1.0)


def _line(series: Series, top: int) -> str:
    """A step for each slot, an area below it; a gap where nobody saw anything."""
    width = WIDTH / len(series.values)
    pieces, areas = [], []
    run: list[str] = []
    begun = 0.0
    for number, value in enumerate((*series.values.tolist(), MISSING)):
        x = number * width
        if value != MISSING:
            if not run:
                begun = x
            y = _y(value, top)
            run.append(f"{x:.1f},{y:.2f} {x + width:.1f},{y:.2f}")
        elif run:
            points = " ".join(run)
            pieces.append(f'<polyline class="counts" points="{points}"/>')
            areas.append(
                f'<polygon class="area" points="{begun:.1f},{HEIGHT:g} {points} '
                f'{x:.1f},{HEIGHT:g}"/>'
            )
            run = []
    return "".join((*areas, *pieces))


def _mark(episode: Episode, series: Series) -> str:
    if episode.what is Happened.FULL:
        return ""
    left = _x(episode.start, series)
    width = _x(episode.end, series) - left
    title = text(said(episode))
    size = f";width:{width:.2f}%" if episode.what is not Happened.STARTED else ""
    return f'<i class="{episode.what.value}" style="left:{left:.2f}%{size}" title="{title}"></i>'


def _times(series: Series) -> str:
    span = series.until - series.start
    every = next((step for longest, step in _TICKS if span <= longest), _TICKS[-1][1])
    first = -(-series.start // every) * every
    shown = "%H:%M"
    return "".join(
        f'<span class="x" style="left:{_x(at, series):.2f}%">'
        f"{datetime.fromtimestamp(at, UTC):{shown}}</span>"
        for at in range(first, series.until, every)
        if 3 <= _x(at, series) <= 97
    )
