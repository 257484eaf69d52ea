# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What pint (Cloudflare's linter of Prometheus rules) asks of a rule, under its checks' own names.

Left out: what depends on a server's configuration or data (``query/cost``, ``group/interval``,
``alerts/count``, ``alerts/external_labels``; ``promql/series`` and ``promql/vector_matching`` are
the end-to-end tests', which ask real servers), and what its users configure for themselves
(``rule/owner``, ``rule/link``, ``rule/reject``).
"""

from __future__ import annotations

import re

import pytest

from tests.unit.operations.promql import OF_A_SCRAPE, known_metrics, named
from vmad.export.metrics.catalogue import BY_NAME
from vmad.operations.rule_files import GROUPS
from vmad.operations.rules import Alert, Recording

RULES = [rule for group in GROUPS for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: seconds between two scrapes, in deploy/prometheus
SCRAPED_EVERY = 15
OF_COUNTERS = ("rate", "irate", "increase")
OF_GAUGES = ("delta", "idelta", "deriv", "predict_linear")
_RANGED = re.compile(r"\b(\w+)\((?P<metric>[\w:]+)(?:\{[^}]*\})?\[(?P<range>\w+)(?::\w+)?\]")

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def seconds(duration: str) -> int:
    """Of a duration as Prometheus writes it, of one unit."""
    return int(duration[:-1]) * SECONDS[duration[-1]]


def ranged(expr: str) -> list[tuple[str, str, str]]:
    """Function, metric and range of every range that ``expr`` looks back over."""
    calls = [(match[1], match["metric"], match["range"]) for match in _RANGED.finditer(expr)]
    assert len(calls) == expr.count("["), f"a range that this does not read: {expr}"
    return calls


@every_alert
def test_alerts_comparison(alert: Alert) -> None:
    """An alert without a comparison fires for as long as its series exist."""
    assert re.match(r"(==|!=|<=|>=|<|>)", alert.conditions[0].comparison)


@every_alert
def test_alerts_for(alert: Alert) -> None:
    assert re.fullmatch(r"\d+[smhd]", alert.holds)


@every_alert
def test_alerts_template(alert: Alert) -> None:
    """Labels that the condition's result has, and numbers that are rounded; none in a label."""
    written = alert.written("https://example/runbook")
    assert "$value" not in "".join(written["labels"].values())
    first = alert.conditions[0]
    by = re.match(r"\w+ by \(([^)]*)\)", first.left)
    known = known_metrics()
    labels = (
        {label.strip() for label in by[1].split(",")}
        if by
        else set().union(*(known[metric] for metric in named(first.left).metrics))
    )
    for text in written["annotations"].values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels | OF_A_SCRAPE
        for value in re.findall(r"\{\{ \$value([^}]*)\}\}", text):
            whole_numbers = first.left.startswith(("changes(", "max_over_time(vmad_memory_map"))
            assert "humanize" in value or whole_numbers, text


@every_alert
def test_promql_fragile(alert: Alert) -> None:
    """topk in an alert makes it flap; sums of two targets want time after a restart."""
    assert not re.search(r"\b(topk|bottomk|limitk|limit_ratio)\b", alert.expr)
    both_added_up = any(
        re.search(r"\b(sum|avg|count)\b.*[-+*/].*\b(sum|avg|count)\b", condition.left)
        for condition in alert.conditions
    )
    assert not both_added_up or seconds(alert.holds) > SCRAPED_EVERY


@every_rule
def test_promql_regexp(rule: Alert | Recording) -> None:
    """No anchor (there are two already), and no expression where a string would do."""
    for pattern in re.findall(r'[=!]~"([^"]*)"', rule.expr):
        assert not pattern.startswith("^")
        assert not pattern.endswith("$")
        assert re.search(r"[.*+?|\[(\\]", pattern), pattern


@every_rule
def test_promql_rate(rule: Alert | Recording) -> None:
    """Of counters, and over four scrapes at the least."""
    for function, metric, looked_back in ranged(rule.expr):
        assert seconds(looked_back) >= 4 * SCRAPED_EVERY
        if function in OF_COUNTERS:
            assert BY_NAME[metric].type == "counter", metric
        if function in OF_GAUGES:
            assert BY_NAME[metric].type == "gauge", metric


@every_rule
def test_promql_counter(rule: Alert | Recording) -> None:
    """A counter's value alone says how long the program has run."""
    just_begun = re.compile(r"\([^()]* unless \S+ offset \w+\)")
    rest = _RANGED.sub("", just_begun.sub("()", rule.expr))
    for metric in named(rest).metrics:
        assert metric not in BY_NAME or BY_NAME[metric].type != "counter", metric


def test_rule_duplicate() -> None:
    assert len({rule.expr for rule in RULES}) == len(RULES)


@every_alert
def test_rule_label(alert: Alert) -> None:
    """``labels/conflict``, too: none is a label that the series have."""
    labels = alert.written("https://example/runbook")["labels"]
    assert set(labels) == {"severity"}
    assert labels["severity"] in ("critical", "warning", "info")


def test_a_rule_that_pint_would_refuse_is_noticed() -> None:
    assert ranged("rate(vmad_scans_total[1m]) > 0") == [("rate", "vmad_scans_total", "1m")]
    with pytest.raises(AssertionError):
        test_promql_counter(Recording("a:b:c", "vmad_scans_total > 5", 1, ""))
    with pytest.raises(AssertionError):
        test_promql_rate(Recording("a:b:c", "rate(vmad_group_processes[5m])", 1, ""))
    with pytest.raises(AssertionError):
        test_promql_regexp(Recording("a:b:c", 'up{job=~"vmad"}', 1, ""))
