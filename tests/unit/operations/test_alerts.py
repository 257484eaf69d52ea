# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every alert fires when it should and is quiet when it should, as promtool has it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.operations.alert_cases import CASES, Case
from tests.unit.operations.promql import promtool
from vmad.operations.alerts import LIMIT
from vmad.operations.cost_alerts import COST
from vmad.operations.rule_files import rule_file
from vmad.operations.rules import Alert
from vmad.operations.self_alerts import SELF

ALERTS = [rule for group in (LIMIT, COST, SELF) for rule in group.rules if isinstance(rule, Alert)]
HOST = {"job": "vmad", "instance": "db1:19797"}


def _with_host(selector: str) -> str:
    name, _, labels = selector.partition("{")
    more = f", {labels.removesuffix('}')}" if labels else ""
    return f'{name}{{job="vmad", instance="db1:19797"{more}}}'


def _test_file(directory: Path, cases: tuple[Case, ...], expected: bool) -> Path:
    """A file for `promtool test rules`; without expectations it tells what fires instead.

    Rules are evaluated at each step, which all cases share.
    """
    (directory / "vmad-alerts.yml").write_text(rule_file("vmad-alerts.yml"))
    tests: list[dict[str, Any]] = []
    for case in cases:
        test: dict[str, Any] = {
            "interval": f"{case.step}m",
            "name": f"{case.alert}: {case.story}",
            "input_series": [
                {"series": _with_host(name), "values": values}
                for name, values in case.series.items()
            ],
        }
        if expected:
            series = {"__name__": "ALERTS", "alertname": case.alert, "alertstate": "firing"}
            series |= HOST | case.labels
            alert = next(each for each in ALERTS if each.name == case.alert)
            series["severity"] = alert.severity
            labels = ", ".join(f'{key}="{value}"' for key, value in series.items())
            firing = [{"labels": f"{{{labels}}}", "value": 1}] if case.fires else []
            test["promql_expr_test"] = [
                {
                    "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
                    "eval_time": f"{case.after}m",
                    "exp_samples": firing,
                }
            ]
        else:
            test["alert_rule_test"] = [
                {"alertname": case.alert, "eval_time": f"{case.after}m", "exp_alerts": []}
            ]
        tests.append(test)
    file = directory / "cases.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": ["vmad-alerts.yml"],
                "evaluation_interval": f"{cases[0].step}m",
                "tests": tests,
            }
        )
    )
    return file


@pytest.mark.parametrize("step", sorted({case.step for case in CASES}))
def test_alerts_fire_when_they_should_and_only_then(step: int, tmp_path: Path) -> None:
    cases = tuple(case for case in CASES if case.step == step)
    done = promtool("test", "rules", _test_file(tmp_path, cases, expected=True))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_expectation_would_be_told(tmp_path: Path) -> None:
    quiet = next(case for case in CASES if case.alert == "VmadNearLimit" and not case.fires)
    done = promtool("test", "rules", _test_file(tmp_path, (replace(quiet, fires=True),), True))

    assert done.returncode == 1
    assert quiet.alert in done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_case_of_either_kind(alert: Alert) -> None:
    assert {case.fires for case in CASES if case.alert == alert.name} == {True, False}


def test_what_people_read_is_filled_in(tmp_path: Path) -> None:
    firing = tuple(case for case in CASES if case.fires and case.step == 1)
    done = promtool("test", "rules", _test_file(tmp_path, firing, expected=False))
    said = done.stdout + done.stderr

    texts = re.findall(r'(summary|description)="((?:[^"\\]|\\.)*)"', said)
    assert len(texts) == 2 * len(firing)
    for what, text in texts:
        assert not re.search(r"<no value>|error|%!|\{\{|NaN", text), text
        assert what == "description" or "db1:19797" in text
