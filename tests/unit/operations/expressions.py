# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every expression of every panel, with Grafana's variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[3] / "deploy" / "grafana"


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One target of one panel."""

    dashboard: str
    panel: str
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.panel}: {self.expr}"


def dashboard(name: str) -> dict[str, Any]:
    """A committed dashboard."""
    read: dict[str, Any] = json.loads((GRAFANA / name).read_text())
    return read


def panels(name: str) -> list[dict[str, Any]]:
    """Those that show something: no rows."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def panel_queries() -> Iterator[PanelQuery]:
    """As they stand in the committed files."""
    for file in sorted(GRAFANA.glob("*.json")):
        for panel in panels(file.name):
            for target in panel["targets"]:
                yield PanelQuery(
                    file.stem, panel["title"], target["expr"], target.get("legendFormat", "")
                )


def filled_in(
    expr: str, job: str = ".*", instance: str = "host:1", group: str = "a", window: str = "1m"
) -> str:
    """As Grafana would send it to Prometheus."""
    for variable, value in {
        "$job": job,
        "$instance": instance,
        "$group": group,
        "$__rate_interval": window,
    }.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, f"a variable that no dashboard has: {expr}"
    return expr
