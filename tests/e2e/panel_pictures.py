# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Draws a dashboard from what a real server answers to the queries of its panels.

Not Grafana, but the same queries, legends and places: enough to see that a panel has something to
show, and what.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.prometheus_server import TimeSeriesServer
from tests.unit.operations.expressions import dashboard
from vmad.lab.compare.plots import Line, line_plot

#: seconds that are drawn, and seconds from one point to the next
SPAN, STEP = 120.0, 2.0
#: a square of Grafana's grid, pixels
WIDE, HIGH = 56, 34
MOST = 10  #: rows of a table, series of a graph

_STYLE = """
body { margin: 0; font: 12px system-ui, sans-serif; background: #f4f5f7; position: relative }
section { position: absolute; background: #fff; border: 1px solid #d5d9de; border-radius: 3px;
  box-sizing: border-box; overflow: hidden; padding: 6px }
h2 { font-size: 13px; margin: 0 0 4px } h1 { position: absolute; font-size: 15px; margin: 6px }
svg { width: 100%; height: calc(100% - 22px) } svg text { font: 12px system-ui, sans-serif }
.grid { stroke: #e3e6ea } table { border-spacing: 8px 1px } td:last-child { text-align: right }
"""


def document(server: TimeSeriesServer, name: str, filled: Callable[[str], str]) -> str:
    """One dashboard as a page; ``filled`` puts values for Grafana's variables."""
    parts, bottom = [], 0
    for panel in dashboard(name)["panels"]:
        at = panel["gridPos"]
        bottom = max(bottom, at["y"] + at["h"])
        place = (
            f"left:{at['x'] * WIDE + 4}px;top:{at['y'] * HIGH + 4}px;"
            f"width:{at['w'] * WIDE - 8}px;height:{at['h'] * HIGH - 8}px"
        )
        title = escape(panel["title"])
        if panel["type"] == "row":
            parts.append(f'<h1 style="{place}">{title}</h1>')
            continue
        drawn = _graph(server, panel, filled) if panel["type"] == "timeseries" else ""
        drawn = drawn or _table(server, panel, filled)
        parts.append(f'<section style="{place}"><h2>{title}</h2>{drawn}</section>')
    size = f"width:{24 * WIDE}px;height:{bottom * HIGH}px"
    return (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>'
        f'<body style="{size}">{"".join(parts)}</body>'
    )


def _graph(server: TimeSeriesServer, panel: dict[str, Any], filled: Callable[[str], str]) -> str:
    """Lines over the last SPAN seconds; stacked ones one above the other."""
    end = time.time()
    found: list[tuple[str, list[tuple[float, float]]]] = []
    for target in panel["targets"]:
        answer = server.api(
            "query_range", query=filled(target["expr"]), start=f"{end - SPAN:.3f}",
            end=f"{end:.3f}", step=f"{STEP:g}",
        )  # fmt: skip
        for series in answer["result"]:
            points = [(float(at) - end + SPAN, float(value)) for at, value in series["values"]]
            found.append((_legend(target.get("legendFormat", ""), series["metric"]), points))
    found = found[:MOST]
    if panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal":
        found = _stacked(found)
    lines = [Line(number, points) for number, (_, points) in enumerate(found)]
    return line_plot([name for name, _ in found], lines, label=panel["title"]) if lines else ""


def _stacked(
    found: list[tuple[str, list[tuple[float, float]]]],
) -> list[tuple[str, list[tuple[float, float]]]]:
    below: dict[float, float] = {}
    result = []
    for name, points in found:
        raised = []
        for at, value in points:
            below[round(at, 1)] = below.get(round(at, 1), 0.0) + value
            raised.append((at, below[round(at, 1)]))
        result.append((name, raised))
    return result


def _table(server: TimeSeriesServer, panel: dict[str, Any], filled: Callable[[str], str]) -> str:
    """What is there now."""
    rows = []
    for target in panel["targets"]:
        for series in server.query(filled(target["expr"]))[:MOST]:
            labels = _legend(target.get("legendFormat", ""), series["metric"])
            value = f"{float(series['value'][1]):,.4g}"
            rows.append(f"<tr><td>{escape(labels)}</td><td>{value}</td></tr>")
    return f"<table>{''.join(rows[: 2 * MOST])}</table>" if rows else "<p>no data</p>"


def _legend(template: str, labels: dict[str, str]) -> str:
    if template:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template)
    shown = {key: value for key, value in labels.items() if key not in ("job", "instance")}
    return ", ".join(str(value) for value in shown.values())


def photographed(html: str, to: Path) -> None:
    """The page as PNG, by Chromium."""
    page_file = to.with_suffix(".html")
    page_file.write_text(html, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 24 * WIDE, "height": 900})
        page.goto(page_file.as_uri())
        page.screenshot(path=to, full_page=True)
        browser.close()
