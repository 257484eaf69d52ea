# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Helm takes the chart, kubectl the base, and both come to the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.conftest import Tool

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
CHART, BASE = DEPLOY / "helm" / "vmad", DEPLOY / "base"
SWITCHES = ("networkPolicy", "podMonitor", "prometheusRule")


def objects(text: str) -> dict[str, dict[str, Any]]:
    """By kind; both forms have one of each."""
    return {thing["kind"]: thing for thing in yaml.safe_load_all(text) if thing}


def test_helm_has_nothing_to_remark_but_the_icon(tool: Tool) -> None:
    said = tool("helm", "lint", "--strict", CHART)
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert [line for line in said.splitlines() if line.startswith("[")] == [
        "[INFO] Chart.yaml: icon is recommended"
    ]


def test_chart_and_base_come_to_the_same(tool: Tool) -> None:
    chart = objects(tool("helm", "template", "vmad", CHART, "--namespace", "vmad"))
    base = objects(tool("kubectl", "kustomize", BASE))
    del base["Namespace"]  # helm install --create-namespace
    assert set(chart) == set(base)
    for kind in base:
        if kind == "ConfigMap":  # the chart's text block ends without a newline
            for form in (chart, base):
                form[kind]["data"]["vmad.yaml"] = form[kind]["data"]["vmad.yaml"].rstrip("\n")
        assert chart[kind] == base[kind], kind


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_switched_off_is_left_out(tool: Tool, switch: str) -> None:
    every = objects(tool("helm", "template", "vmad", CHART))
    without = objects(tool("helm", "template", "vmad", CHART, "--set", f"{switch}.enabled=false"))
    assert {kind.lower() for kind in set(every) - set(without)} == {switch.lower()}


def test_kubectl_takes_every_object_without_a_cluster(tool: Tool, tmp_path: Path) -> None:
    """``--local`` decodes by kubectl's own types; what is no object is refused."""
    path = tmp_path / "all.yaml"
    path.write_text(tool("kubectl", "kustomize", BASE))
    taken = tool("kubectl", "label", "--local", "-f", path, "-o", "name", "seen=yes").split()
    assert len(taken) == len(objects(path.read_text()))
    assert {name.partition("/")[2] for name in taken} == {"vmad"}
