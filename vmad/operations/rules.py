# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a Prometheus rule is made of, and how it is written as Prometheus wants it.

An alert is a list of conditions, so that a test can ask a real Prometheus for both sides of each
one: a comparison alone returns nothing as long as all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]

#: where the runbook is read; the Debian package puts it there
RUNBOOK = "file:///usr/share/doc/vmad/runbook.md"

#: what every series of one vmad has in common, and what tells its groups apart
HOST = "job, instance"
GROUP = "job, instance, group"


@dataclass(frozen=True, slots=True)
class Condition:
    """``left comparison right``. ``comparison`` may carry ``on (…)``; ``right`` may be a number.

    ``joined`` says how it is joined to the conditions before it; it has no meaning for the first.
    """

    left: str
    comparison: str
    right: str
    joined: str = f"and on ({GROUP})"

    def __str__(self) -> str:
        return " ".join(part for part in (self.left, self.comparison, self.right) if part)

    @property
    def expressions(self) -> tuple[str, ...]:
        """The sides that are expressions rather than numbers."""
        return tuple(side for side in (self.left, self.right) if any(map(str.isalpha, side)))


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. The value of its first condition's left side is what ``$value`` is.

    ``summary`` and ``description`` are Prometheus templates; ``holds`` is how long the conditions
    must hold first, as Prometheus writes durations.
    """

    name: str
    severity: Severity
    conditions: tuple[Condition, ...]
    holds: str
    summary: str
    description: str

    @property
    def expr(self) -> str:
        """The whole expression, a line for each condition."""
        first, *others = self.conditions
        return "\n".join([str(first), *(f"{other.joined} {other}" for other in others)])

    @property
    def anchor(self) -> str:
        """Where its section of the runbook is, after the #."""
        return self.name.lower()

    def written(self, runbook: str) -> dict[str, Any]:
        """As a rule file has it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.holds,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbook}#{self.anchor}",
            },
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded series, ``at_most`` of them for each host. ``help`` is for the reader."""

    name: str
    expr: str
    at_most: int
    help: str

    def written(self, runbook: str) -> dict[str, Any]:
        """As a rule file has it."""
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    text: str  #: a comment for the reader
    rules: tuple[Alert, ...] | tuple[Recording, ...] = field(default=())

    def written(self, runbook: str = RUNBOOK) -> dict[str, Any]:
        """As a rule file has it, and a PrometheusRule under ``spec.groups``."""
        return {"name": self.name, "rules": [rule.written(runbook) for rule in self.rules]}


def document(groups: Iterable[RuleGroup], runbook: str = RUNBOOK) -> Mapping[str, Any]:
    """A whole rule file."""
    return {"groups": [group.written(runbook) for group in groups]}
