# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The doctor's report for a person, the conclusion first; and for scripts, vmad.doctor/1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.findings import Cost, Finding, Report

SCHEMA = "vmad.doctor/1"


def doctor_text(report: Report, style: Style) -> Iterator[str]:
    """Lines without their newlines."""
    for line in style.wrapped(report.conclusion.text, ""):
        yield style.bold(line)
    yield ""
    yield style.bold("WHAT WORKS HERE")
    yield style.dim("(cost in CPU time: here just now, elsewhere as documented)")
    rows = [
        (
            _mark(finding),
            finding.name,
            _reach(finding),
            *_cost(finding.cost),
            finding.detail
            if not finding.works or finding.remedy or finding.partial
            else finding.gives,
        )
        for finding in report.findings
    ]
    head = ("", "", "PROCESSES", "HERE", "ELSEWHERE", "")
    yield from aligned([head, *rows], "llrrrl", "  ")
    yield from _remedies(report, style)
    yield ""
    yield style.bold("THIS MACHINE" if report.target is None else "THE GUEST")
    width = max(len(setting.name) for setting in report.settings)
    for setting in report.settings:
        text = f"{setting.value}; {setting.matters}" if setting.matters else setting.value
        yield from style.wrapped(text, " " * (width + 4), f"  {setting.name:<{width}}  ")
    if report.target is None:
        yield ""
        yield "`vmad selfcheck` checks the rules against this kernel with real pairs."


def _remedies(report: Report, style: Style) -> Iterator[str]:
    """One line per remedy, whatever it helps with."""
    helped: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.remedy is not None:
            helped.setdefault(finding.remedy, []).append(finding.name)
    if helped:
        yield ""
        yield style.bold("WHAT WOULD HELP")
    for remedy, names in helped.items():
        yield from style.wrapped(f"{', '.join(names)}: {remedy}", "    ", "  ")


def doctor_object(report: Report) -> dict[str, Any]:
    """As JSON."""
    return {"schema": SCHEMA, **asdict(report)}


def _mark(finding: Finding) -> str:
    if finding.works is None:
        return "?"
    if not finding.works:
        return "no"
    return "in part" if finding.partial else "yes"


def _reach(finding: Finding) -> str:
    if finding.of is None or finding.reached is None:
        return ""
    return f"{finding.reached:,} of {finding.of:,}" if finding.partial else f"{finding.of:,}"


def _cost(cost: Cost | None) -> tuple[str, str]:
    if cost is None:
        return "", ""
    unit = cost.unit.replace(" per ", "/").removesuffix("ess")
    if cost.here is None:
        here = ""
    else:
        here = f"{cost.here:,.0f} {unit}" if cost.here >= 10 else f"{cost.here:.2g} {unit}"
    return here, cost.elsewhere or ""
