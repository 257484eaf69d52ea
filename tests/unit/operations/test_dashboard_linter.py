# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What Grafana's dashboard-linter asks of a dashboard, rule by rule, under the rule's own name.

Left out, and why: ``instance`` takes one value on the dashboards of one host (several hosts would
be added up), the unit ``suffix:/s`` is Grafana's own way to a unit that its list does not have,
and the rules for Loki have nothing to look at. Whether expressions parse, titles and units are in
test_dashboards.py.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.operations.expressions import dashboard, filled_in, panels
from tests.unit.operations.promql import named
from vmad.export.metrics.catalogue import BY_NAME
from vmad.operations.dashboards.files import FILES

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_ONE_HOST = ("vmad-host.json", "vmad-group.json")
_RANGED = re.compile(r"\b(rate|irate|increase)\([^()]*\[([^\]]+)\]\)")
_RANGES = re.compile(r"\b(?:rate|irate|increase)\b")

every_dashboard = pytest.mark.parametrize("name", FILES)


def _variables(name: str) -> dict[str, Any]:
    return {variable["name"]: variable for variable in dashboard(name)["templating"]["list"]}


def _expressions(name: str) -> list[str]:
    return [target["expr"] for panel in panels(name) for target in panel["targets"]]


@every_dashboard
def test_uneditable_dashboard(name: str) -> None:
    assert dashboard(name)["editable"] is False


@every_dashboard
def test_template_datasource_rule(name: str) -> None:
    (source,) = (each for each in _variables(name).values() if each["type"] == "datasource")
    assert (source["name"], source["label"], source["query"]) == (
        "datasource", "Data source", "prometheus"
    )  # fmt: skip


@every_dashboard
@pytest.mark.parametrize("label", ["job", "instance"])
def test_template_job_rule_and_template_instance_rule(name: str, label: str) -> None:
    variable = _variables(name)[label]
    assert (variable["label"], variable["type"]) == (label, "query")
    assert variable["datasource"] == SOURCE
    if label == "instance" and name in OF_ONE_HOST:
        assert not variable["multi"]
        assert not variable["includeAll"]
    else:
        assert variable["multi"]
        assert variable["allValue"] == ".+"


@every_dashboard
def test_template_label_promql_rule(name: str) -> None:
    for variable in _variables(name).values():
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked, variable["name"]
            assert asked[2] == variable["name"]
            assert len(named(filled_in(asked[1])).metrics) == 1


@every_dashboard
def test_template_on_time_change_reload_rule(name: str) -> None:
    on_time_range_changed = 2
    for variable in _variables(name).values():
        if variable["type"] == "query":
            assert variable["refresh"] == on_time_range_changed, variable["name"]


@every_dashboard
def test_panel_datasource_rule_and_panel_no_targets_rule(name: str) -> None:
    for panel in panels(name):
        assert panel["targets"], panel["title"]
        for place in (panel, *panel["targets"]):
            assert place["datasource"] == SOURCE, panel["title"]


@every_dashboard
def test_target_job_rule_and_target_instance_rule(name: str) -> None:
    """Each selector of each query."""
    instance = 'instance="$instance"' if name in OF_ONE_HOST else 'instance=~"$instance"'
    for expr in _expressions(name):
        metrics = sum(expr.count(metric) for metric in named(filled_in(expr)).metrics)
        assert metrics, expr
        selectors = re.findall(r"\{([^{}]+)\}", expr)
        assert len(selectors) >= len(named(filled_in(expr)).metrics), expr
        for selector in selectors:
            assert 'job=~"$job"' in selector, expr
            assert instance in selector, expr


@every_dashboard
def test_target_rate_interval_rule(name: str) -> None:
    for expr in _expressions(name):
        ranges = [match[2] for match in _RANGED.finditer(expr)]
        assert len(ranges) == len(_RANGES.findall(expr)), expr
        assert set(ranges) <= {"$__rate_interval"}, expr


@every_dashboard
def test_target_counter_agg_rule(name: str) -> None:
    """A counter is shown by its rate or increase, and so is nothing else."""
    for expr in _expressions(name):
        for match in _RANGED.finditer(expr):
            (metric,) = named(filled_in(match[0])).metrics
            assert BY_NAME[metric].type == "counter", expr
        for metric in named(filled_in(_RANGED.sub("1", expr))).metrics:
            assert metric not in BY_NAME or BY_NAME[metric].type != "counter", expr
