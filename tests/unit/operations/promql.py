# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which metrics and labels an expression names. promtool is who says whether it parses."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from vmad.export.metrics.catalogue import CATALOGUE
from vmad.operations.recordings import FLEET
from vmad.operations.rules import Recording

#: labels that Prometheus adds to whatever it scrapes
OF_A_SCRAPE = frozenset({"job", "instance"})

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(rf"({_NAME})?\s*\{{([^}}]*)\}}")
_LABEL_LIST = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_VECTOR_MATCHING = ("by", "without", "on", "ignoring", "group_left", "group_right")
_WORDS = frozenset(("and", "or", "unless", "bool", "offset", *_VECTOR_MATCHING))


@dataclass(frozen=True, slots=True)
class Named:
    """What an expression names: metrics with the labels of their selectors, and lists of labels."""

    metrics: Mapping[str, frozenset[str]]
    lists: frozenset[str]


def named(expr: str) -> Named:
    """Everything that ``expr`` names; the variables of Grafana must be filled in."""
    bare = _STRING.sub('""', expr)
    lists = {
        word.strip()
        for match in _LABEL_LIST.finditer(bare)
        for word in match[1].split(",")
        if word.strip()
    }
    metrics: dict[str, set[str]] = {}
    for match in _SELECTOR.finditer(bare):
        labels = set(re.findall(rf"({_NAME})\s*(?:=~|!~|!=|=)", match[2]))
        metrics.setdefault(match[1] or "", set()).update(labels)
    rest = _LABEL_LIST.sub(" ", re.sub(r"\{[^}]*\}", " ", bare))
    rest = re.sub(r"\[[^\]]*\]", " ", rest)
    rest = re.sub(r"\boffset\s+\w+", " ", rest)
    for match in re.finditer(rf"(?<![\w:])({_NAME})(\s*\()?", rest):
        if not match[2] and match[1] not in _WORDS:
            metrics.setdefault(match[1], set())
    return Named({name: frozenset(labels) for name, labels in metrics.items()}, frozenset(lists))


def known_metrics() -> dict[str, frozenset[str]]:
    """Labels of every metric that there is: vmad's, its recorded ones, and Prometheus's own."""
    known = {each.name: frozenset(each.labels) | OF_A_SCRAPE for each in CATALOGUE}
    known["up"] = OF_A_SCRAPE
    known["ALERTS"] = OF_A_SCRAPE | {"alertname", "alertstate", "severity", "group"}
    for rule in FLEET.rules:
        assert isinstance(rule, Recording)
        used = named(rule.expr)
        known[rule.name] = frozenset().union(*(known[name] for name in used.metrics))
    return known


def unknown_names(expr: str) -> set[str]:
    """Metrics that do not exist, and labels that none of the expression's metrics has."""
    known = known_metrics()
    used = named(expr)
    wrong = {name for name in used.metrics if name not in known}
    for name, labels in used.metrics.items():
        wrong |= {f"{name}{{{label}}}" for label in labels - known.get(name, labels)}
    everything = frozenset().union(*(known.get(name, frozenset()) for name in used.metrics))
    return wrong | {f"({label})" for label in used.lists - everything}


def promtool(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; ``make test`` puts it into PATH."""
    program = shutil.which("promtool")
    assert program, "promtool is not in PATH; it is in Debian's package prometheus"
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd
    )


def parse_failures(expressions: Iterable[str], directory: Path) -> str:
    """What promtool says of expressions that do not parse; empty when all do."""
    rules = [{"record": f"e:{number}", "expr": e} for number, e in enumerate(expressions)]
    file = directory / "expressions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", file)
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr
