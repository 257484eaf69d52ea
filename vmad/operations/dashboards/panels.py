# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The four sorts of panel that the dashboards are made of: number, graph, bars, table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from vmad.operations.dashboards.looks import VMAS, Column, Steps, link, thresholds

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

#: Grafana's grid is 24 wide
FULL, HALF, THIRD, SIXTH = 24, 12, 8, 4


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are called in a legend (or its column in a table)."""

    expr: str
    legend: str = ""


def _targets(queries: Sequence[Query], instant: bool) -> list[Dataquery]:
    targets = []
    for number, query in enumerate(queries):
        made = Dataquery().expr(query.expr).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        if query.legend:
            made = made.legend_format(query.legend)
        targets.append(made.instant() if instant else made.range())
    return targets


def number(
    title: str, about: str, expr: str, unit: str, *, steps: Steps = (), base: str = "green",
    legend: str = "", url: str | None = None, span: int = SIXTH,
) -> stat.Panel:  # fmt: skip
    """One number, coloured by its thresholds; with ``legend`` its name instead of its value."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(thresholds(steps, base if steps else "text"))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(span)
        .height(4)
        .no_value("–")
    )
    if legend:
        panel = panel.text_mode(common.BigValueTextMode.NAME)
    if url is not None:
        panel = panel.data_links([link(title, url)])
    for target in _targets([Query(expr, legend)], instant=True):
        panel = panel.with_target(target)
    return panel


def graph(
    title: str, about: str, queries: Sequence[Query], unit: str, *, steps: Steps = (),
    stacked: bool = False, span: int = HALF, from_zero: bool = True, url: str | None = None,
) -> timeseries.Panel:  # fmt: skip
    """Lines over time; ``steps`` are drawn as lines across it, ``url`` is the runbook's."""
    legend = (
        common_builders.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .legend(legend)
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .show_points(common.VisibilityMode.NEVER)
        .span(span)
        .height(9)
    )
    if from_zero:
        panel = panel.min(0)
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if steps:
        style = common_builders.GraphThresholdsStyleConfig().mode(
            common.GraphTresholdsStyleMode.DASHED
        )
        panel = panel.thresholds(thresholds(steps, "transparent")).thresholds_style(style)
    if url is not None:
        panel = panel.data_links([link("Runbook", url)])
    for target in _targets(queries, instant=False):
        panel = panel.with_target(target)
    return panel


def dashed(panel: timeseries.Panel, name: str, color: str) -> timeseries.Panel:
    """Draw the series called ``name`` as a dashed line: a bound rather than a measurement."""
    return panel.override_by_name(
        name,
        [
            DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            DynamicConfigValue("custom.fillOpacity", 0),
            DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color}),
        ],
    )


def bars(
    title: str, about: str, query: Query, unit: str, *, span: int = HALF, url: str | None = None
) -> bargauge.Panel:
    """One bar for each series, the longest first (the query sorts)."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .thresholds(thresholds((), "blue"))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(span)
        .height(9)
    )
    if url is not None:
        panel = panel.data_links([link("Runbook", url)])
    for target in _targets([query], instant=True):
        panel = panel.with_target(target)
    return panel


def rows(
    title: str, about: str, queries: Mapping[str, str], columns: Mapping[str, Column], *,
    sort: str, descending: bool = True, span: int = FULL, height: int = 9,
) -> table.Panel:  # fmt: skip
    """A table: a row for each set of labels, a column for each query.

    ``queries`` are expressions by the key of their column; ``columns`` gives labels and queries in
    their order, and what it does not name is hidden. ``sort`` is the title of a column.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(VMAS)
        .show_header(True)
        .cell_height(common.TableCellHeight.SM)
        .sort_by([common_builders.TableSortByFieldState().display_name(sort).desc(descending)])
        .span(span)
        .height(height)
    )
    letters = {key: chr(ord("A") + position) for position, key in enumerate(queries)}
    for key, expr in queries.items():
        target = Dataquery().expr(expr).ref_id(letters[key]).datasource(SOURCE).instant()
        panel = panel.with_target(target.format(PromQueryFormat.TABLE))
    if len(queries) > 1:
        panel = panel.with_transformation(DataTransformerConfig("merge", options={}))
        fields = {key: f"Value #{letter}" for key, letter in letters.items()}
    else:
        fields = dict.fromkeys(queries, "Value")
    order = [fields.get(key, key) for key in columns]
    panel = panel.with_transformation(
        DataTransformerConfig("filterFieldsByName", options={"include": {"names": [*order, "job"]}})
    ).with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "indexByName": {name: position for position, name in enumerate(order)},
                "excludeByName": {},
                "renameByName": {},
            },
        )
    )
    for key, column in columns.items():
        panel = panel.override_by_name(fields.get(key, key), _dynamic(column.properties()))
    # links need it, people do not
    return panel.override_by_name("job", _dynamic([("custom.hidden", True)]))


def _dynamic(properties: Sequence[tuple[str, Any]]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(name, value) for name, value in properties]
