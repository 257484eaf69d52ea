# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Prometheus 3 and VictoriaMetrics take the rules, and their alerts fire as those of 2.42 do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.tools.conftest import Tool
from tests.unit.operations.alert_cases import CASES
from tests.unit.operations.test_alerts import _test_file
from vmad.operations.rule_files import FILES

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
STEPS = sorted({case.step for case in CASES})


@pytest.mark.parametrize("name", FILES)
def test_prometheus_3_takes_the_rules(tool: Tool, name: str) -> None:
    path = PROMETHEUS / "rules" / name
    assert "SUCCESS" in tool("promtool-3", "check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("name", ["prometheus.yml", "global.yml"])
def test_prometheus_3_takes_the_configuration(tool: Tool, name: str) -> None:
    assert "SUCCESS" in tool("promtool-3", "check", "config", PROMETHEUS / name)


@pytest.mark.parametrize("step", STEPS)
def test_alerts_fire_alike_in_prometheus_3(tool: Tool, step: int, tmp_path: Path) -> None:
    cases = tuple(case for case in CASES if case.step == step)
    tool("promtool-3", "test", "rules", _test_file(tmp_path, cases, expected=True))


@pytest.mark.parametrize("step", STEPS)
def test_alerts_fire_alike_in_victoriametrics(tool: Tool, step: int, tmp_path: Path) -> None:
    """Its ALERTS have the label alertgroup besides."""
    cases = tuple(case for case in CASES if case.step == step)
    file = _test_file(tmp_path, cases, expected=True)
    document = yaml.safe_load(file.read_text())
    for test in document["tests"]:
        asked = test.pop("promql_expr_test")
        for one in asked:
            one["expr"] = f'label_del({one["expr"]}, "alertgroup")'
        test["metricsql_expr_test"] = asked
    file.write_text(yaml.safe_dump(document))
    tool("vmalert-tool", "unittest", f"--files={file}")


def test_vmagent_takes_the_scrape_configuration(tool: Tool) -> None:
    config = f"-promscrape.config={PROMETHEUS / 'prometheus.yml'}"
    lenient = "-promscrape.config.strictParse=false"  # alerting and rule_files are not for it
    tool("vmagent", "-dryRun", config, lenient, "-remoteWrite.url=http://127.0.0.1:1/")
