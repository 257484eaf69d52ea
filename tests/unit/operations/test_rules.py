# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rules as files: up to date, accepted by promtool, about metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.operations.promql import parse_failures, promtool, unknown_names
from vmad.operations.recordings import SERIES_PER_HOST
from vmad.operations.rule_files import FILES, GROUPS, main, rule_file
from vmad.operations.rules import Alert, Recording

PROMETHEUS = Path(__file__).parents[3] / "deploy" / "prometheus"
RULES = [rule for group in GROUPS for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_the_rules_give(name: str) -> None:
    assert (PROMETHEUS / "rules" / name).read_text() == rule_file(name)


@pytest.mark.parametrize("name", FILES)
def test_promtool_accepts_the_file_and_has_nothing_to_remark(name: str) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "rules" / name)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["prometheus.yml", "global.yml"])
def test_promtool_accepts_the_configuration(name: str) -> None:
    checked = promtool("check", "config", PROMETHEUS / name)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_only_metrics_and_labels_that_exist(rule: Alert | Recording) -> None:
    assert unknown_names(rule.expr) == set()


def test_a_renamed_metric_or_label_is_noticed(tmp_path: Path) -> None:
    assert unknown_names("vmad_group_limit_ration > 0.8") == {"vmad_group_limit_ration"}
    assert unknown_names('vmad_host_areas{sort="file"}') == {"vmad_host_areas{sort}"}
    assert unknown_names("sum by (unit) (vmad_host_areas)") == {"(unit)"}
    assert parse_failures(["sum(up", "up"], tmp_path) != ""


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_tells_what_and_where_and_what_to_do(alert: Alert) -> None:
    written = alert.written("https://example/runbook")

    assert "{{ $labels.instance }}" in written["annotations"]["summary"]
    assert written["annotations"]["description"].endswith(".")
    assert written["annotations"]["runbook_url"] == f"https://example/runbook#{alert.name.lower()}"
    assert re.fullmatch(r"Vmad([A-Z][a-z]*)+", alert.name)


def test_the_runbook_may_be_elsewhere(tmp_path: Path) -> None:
    main(["--runbook", "https://wiki.example/vmad", str(tmp_path)])

    written = yaml.safe_load((tmp_path / "vmad-alerts.yml").read_text())
    rules = [rule for group in written["groups"] for rule in group["rules"]]
    assert all(
        rule["annotations"]["runbook_url"].startswith("https://wiki.example/vmad#vmad")
        for rule in rules
    )


def test_names_are_taken_once() -> None:
    names = [rule.name for rule in RULES]

    assert len(names) == len(set(names))


def test_the_stated_series_of_a_fleet_are_the_sum_of_the_rules() -> None:
    stated = (PROMETHEUS / "global.yml").read_text()

    assert f"at most {SERIES_PER_HOST} each" in stated
    assert f"at most {SERIES_PER_HOST * 10_000:,} series" in " ".join(stated.split())
