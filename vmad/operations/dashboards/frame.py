# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What all dashboards share: variables, links to each other, time and refresh."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.common import TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from vmad.operations.dashboards.panels import SOURCE
from vmad.operations.rules import RUNBOOK

TAG = "vmad"


def dashboard(uid: str, title: str, about: str, *, since: str = "now-3h") -> Dashboard:
    """An empty dashboard with the variables ``datasource`` and ``runbook``."""
    others = (
        DashboardLink("vmad")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(False)
        .keep_time(True)
    )
    return (
        Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .readonly()
        .timezone(TimeZoneBrowser)
        .time(since, "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others)
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            TextBoxVariable("runbook")
            .label("runbook")
            .description("Where docs/runbook.md is read, without the #.")
            .default_value(RUNBOOK)
            .current(VariableOption(text=RUNBOOK, value=RUNBOOK))
        )
    )


def choice(name: str, metric: str, *, several: bool = False) -> QueryVariable:
    """A variable whose values are those of the label ``name`` of a metric."""
    made = (
        QueryVariable(name)
        .label(name)
        .datasource(SOURCE)
        .query({"query": f"label_values({metric}, {name})", "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(several)
    )
    return made.include_all(True).all_value(".+") if several else made


def hosts(metric: str) -> tuple[QueryVariable, QueryVariable]:
    """The variables ``job`` and ``instance``: any number of hosts that have ``metric``."""
    return (
        choice("job", metric, several=True),
        choice("instance", f'{metric}{{job=~"$job"}}', several=True),
    )
