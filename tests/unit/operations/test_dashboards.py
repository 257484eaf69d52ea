# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The dashboards: up to date, about metrics that exist, and leading from one to the other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.unit.operations.expressions import (
    GRAFANA,
    dashboard,
    filled_in,
    panel_queries,
    panels,
)
from tests.unit.operations.promql import known_metrics, named, parse_failures, unknown_names
from vmad.operations.dashboards.files import FILES, dashboard_file, main

QUERIES = list(panel_queries())


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_the_code_gives(name: str) -> None:
    assert (GRAFANA / name).read_text() == dashboard_file(name)


def test_nothing_else_is_committed(tmp_path: Path) -> None:
    main([str(tmp_path)])

    assert {file.name for file in GRAFANA.glob("*.json")} == set(FILES)
    assert {file.name for file in tmp_path.iterdir()} == set(FILES)


def test_every_expression_parses(tmp_path: Path) -> None:
    assert parse_failures((filled_in(query.expr) for query in QUERIES), tmp_path) == ""


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_an_expression_names_only_metrics_and_labels_that_exist(query: Any) -> None:
    expr = filled_in(query.expr)

    assert unknown_names(expr) == set()
    labels = frozenset().union(*(known_metrics()[name] for name in named(expr).metrics))
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels


def _read_back(written: dict[str, Any]) -> dict[str, Any]:
    """As the pinned SDK's types have it: each panel's options by its type, each query by its
    source; what they have no field for is left out.
    """
    register_default_plugins()
    text = JSONEncoder().encode(Dashboard.from_json(written))
    read: dict[str, Any] = json.loads(text)
    return read


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_one_of_the_pinned_sdk(name: str) -> None:
    written = dashboard(name)
    assert _read_back(written) == written

    # the classic schema: panels in a list, not elements and a layout
    assert written["schemaVersion"] < 42
    assert {"panels", "templating", "time"} < set(written)


def test_a_field_that_the_sdk_does_not_have_is_noticed() -> None:
    written = dashboard("vmad-host.json")
    panel = panels("vmad-host.json")[0]
    for place in (panel, panel["options"], panel["targets"][0]):
        place["colour"] = "red"
        assert _read_back({**written, "panels": [panel]})["panels"][0] != panel
        del place["colour"]
    assert _read_back({**written, "panels": [panel]})["panels"][0] == panel


@pytest.mark.parametrize("name", FILES)
def test_a_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]

    assert len(set(titles)) == len(titles)
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("name", FILES)
def test_a_table_shows_labels_and_queries_that_it_has(name: str) -> None:
    for panel in panels(name):
        if panel["type"] != "table":
            continue
        expressions = [filled_in(target["expr"]) for target in panel["targets"]]
        values = {f"Value #{target['refId']}" for target in panel["targets"]} | {"Value"}
        labels = frozenset().union(
            *(known_metrics()[metric] for expr in expressions for metric in named(expr).metrics)
        )
        chosen = next(
            each["options"]["include"]["names"]
            for each in panel["transformations"]
            if each["id"] == "filterFieldsByName"
        )
        assert set(chosen) <= values | labels, panel["title"]
        titles = {
            each["value"]
            for override in panel["fieldConfig"]["overrides"]
            for each in override["properties"]
            if each["id"] == "displayName"
        }
        assert panel["options"]["sortBy"][0]["displayName"] in titles, panel["title"]


@pytest.mark.parametrize("name", FILES)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(name)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    variables = {
        dashboard(name)["uid"]: {each["name"] for each in dashboard(name)["templating"]["list"]}
        for name in FILES
    }
    text = "".join((GRAFANA / name).read_text() for name in FILES)
    urls = set(re.findall(r'"(/d/[^"]+)"', text))

    assert {url.split("?")[0].removeprefix("/d/") for url in urls} == {"vmad-host", "vmad-group"}
    for url in urls:
        uid, _, query = url.removeprefix("/d/").partition("?")
        assert set(re.findall(r"var-(\w+)=", query)) <= variables[uid]
        # a group may be called "a&var-group=b#c"
        for value in re.findall(r"var-\w+=([^&]+)", query):
            assert value.endswith(":percentencode}")


def test_the_way_goes_from_fleet_to_host_to_group_to_runbook() -> None:
    for name, target in (
        ("vmad-fleet.json", "/d/vmad-host?"),
        ("vmad-host.json", "/d/vmad-group?"),
        ("vmad-group.json", "${runbook}#${__data.fields.reason}"),
        ("vmad-fleet.json", "${runbook}#${__data.fields.alertname}"),
    ):
        assert target in (GRAFANA / name).read_text()
