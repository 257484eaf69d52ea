# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A comparison as one self-contained HTML file: figures with spreads, and plots as SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from vmad.lab.compare.comparison import Comparison
from vmad.lab.compare.plots import Bar, Line, bar_plot, line_plot, number
from vmad.lab.compare.summary import Figure, Figures

_STYLE = """
:root { color-scheme: light dark; --grid: #ddd; --dim: #666; }
@media (prefers-color-scheme: dark) { :root { --grid: #444; --dim: #aaa; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 920px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p.dim, td.dim { color: var(--dim); }
table { border-collapse: collapse; }
th, td { padding: 0.15rem 0.7rem 0.15rem 0; text-align: left; }
tr { border-bottom: 1px solid var(--grid); }
th + th, td + td { text-align: right; font-variant-numeric: tabular-nums; }
div.wide { overflow-x: auto; }
td { white-space: nowrap; }
td + td.spread { text-align: left; font-size: 0.8rem; }
svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--grid); }
svg .spread { stroke: currentColor; stroke-width: 1.5; }
"""


def html(comparison: Comparison) -> str:
    """The page of a comparison."""
    summaries = comparison.summaries()
    kernels = comparison.kernels
    several = comparison.repeat > 1
    title = f"{comparison.workload} on {' and '.join(kernels)}"
    names = [f"{kernel} ({summary.release})" for kernel, summary in summaries.items()]
    how = f"{comparison.repeat} runs of each" if several else "one run of each"
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="dim"><code>{escape(" ".join(comparison.command))}</code><br>{how}, '
        f"{escape(comparison.machine)}, {escape(comparison.made_at)}</p>",
        _figures({kernel: summary.figures for kernel, summary in summaries.items()}, several),
        "<h2>VMAs over time</h2>",
        '<p class="dim">Of the process that has most at that moment, sampled every 100 ms as far '
        "as the guest keeps up.</p>",
        line_plot(names, _lines(comparison), label="VMAs over time"),
    ]
    every = list(summaries.values())
    for label, pairs in (
        ("Pairs at the peak", [summary.peak_pairs for summary in every]),
        ("Pairs at the end", [summary.end_pairs for summary in every]),
    ):
        parts.append(f"<h2>{label}, by decisive reason</h2>")
        parts.append('<p class="dim">By the stock rules of each kernel.</p>')
        parts.append(_bars(names, pairs, label, "no pairs at all"))
    parts.append("<h2>VMAs that would vanish if everything merged that may</h2>")
    recoverable = [summary.recoverable for summary in every]
    parts.append(_bars(names, recoverable, "VMAs that would vanish", "not known"))
    attempts = [summary.attempts for summary in every]
    if any(attempts):
        parts.append("<h2>Attempts to merge, by outcome</h2>")
        parts.append(
            '<p class="dim">As a patched kernel counts them while vm.anon_vma_merge is not 0, of '
            "the whole guest. A kernel without counts has no bars.</p>"
        )
        parts.append(_bars(names, attempts, "attempts to merge", "none"))
    parts.append("<h2>System calls</h2>")
    parts.append(_bars(names, [summary.calls for summary in every], "system calls", "none"))
    return "\n".join(parts) + "\n"


def _figures(figures: Mapping[str, Figures], several: bool) -> str:
    kernels = list(figures)
    spread = "<th></th>" if several else ""
    heads = "".join(f"<th>{escape(kernel)}</th>{spread}" for kernel in kernels)
    ratio = len(kernels) == 2
    if ratio:
        heads += f"<th>{escape(kernels[1])} / {escape(kernels[0])}</th>"
    rows = [f"<tr><th></th>{heads}</tr>"]
    for name in dict.fromkeys(name for kernel in kernels for name in figures[kernel]):
        values = [figures[kernel].get(name) for kernel in kernels]
        cells = [_cell(value, several) for value in values]
        if ratio:
            cells.append(_ratio(values))
        rows.append(f"<tr><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _cell(value: Figure | None, several: bool) -> str:
    if value is None:
        return '<td class="dim">not known</td>' + ("<td></td>" if several else "")
    median, lowest, highest = value
    text = f"<td>{number(median)}</td>"
    if several:
        differ = f"{number(lowest)} to {number(highest)}" if lowest < highest else ""
        text += f'<td class="dim spread">{differ}</td>'
    return text


def _ratio(values: Sequence[Figure | None]) -> str:
    first, second = values
    if first is None or second is None or not first[0]:
        return "<td></td>"
    return f"<td>{second[0] / first[0]:.3f}</td>"


def _lines(comparison: Comparison) -> list[Line]:
    return [
        Line(
            comparison.kernels.index(run.kernel),
            [(sample.seconds, sample.vmas) for sample in run.record.samples],
        )
        for run in comparison.runs
    ]


def _bars(names: Sequence[str], figures: Sequence[Figures], label: str, none: str) -> str:
    """Bars of each kernel's figures; what a kernel has no word of is none of it."""
    rows: dict[str, list[Bar | None]] = {name: [] for kernel in figures for name in kernel}
    for name, row in rows.items():
        for kernel in figures:
            value = kernel.get(name, (0, 0, 0))
            row.append(None if value is None else Bar(*value))
    if not rows:
        return f"<p>{none}</p>"
    order = sorted(rows, key=lambda name: -max(bar.median if bar else 0 for bar in rows[name]))
    return bar_plot(names, {name: rows[name] for name in order}, label=label)
