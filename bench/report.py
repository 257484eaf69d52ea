# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""docs/bench.md out of results.json, and what was measured otherwise out of measured-once.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.figures import Asked, Figure, figure_from_json
from bench.ratios import Spread

SCHEMA = "vmad.bench/1"
HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
ONCE = HERE / "measured-once.md"
PAGE = HERE.parent / "docs" / "bench.md"

_INTRODUCTION = """\
<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->
<!-- made from bench/results.json and bench/measured-once.md by python -m bench.report -->
# What vmad costs

`make bench` measures each figure against its counterpart in the same run, the two in turn
(A B A B …), and writes down the median of the rounds' own ratios with the quartiles. Where the
machine is shared, what slows it down hits both sides. Ratios of times are taken of wall time and
of CPU time (user and system, children included), and the worse of the two medians is the one
that is shown and judged. "-" under *ok*: nothing was asked, the line is there for comparison.
"""

_SCHEMA_TEXT = """\
## results.json
One object, schema `vmad.bench/1`:

- `schema`, `started` (ISO 8601, UTC), `took_seconds`, `commit` (of vmad)
- `machine`: what it was measured on, and `load`: the load average of one minute before and after
  each part
- `figures`: a list, one object per line above: `name`, `title`, `unit` ("" is a ratio),
  `asked` (null, or `relation`, `bound`, `aim`), `reached` (null where it could not be measured, or
  `median`, `low`, `high`: the median and the quartiles), `ok` (true, false, or null where nothing
  was asked), `method`, `note`, and `extra`: the numbers behind it, units in their names
"""


def number_text(value: float) -> str:
    """Three significant digits, without exponent: 0.0312, 1.05, 17.3, 1,234."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def asked_text(asked: Asked | None, unit: str) -> str:
    """ "≤ 1.00, aim 0.600"."""
    if asked is None:
        return "-"
    sign = {"<=": "≤", "<": "<", ">=": "≥"}[asked.relation]
    text = f"{sign} {_with_unit(number_text(asked.bound), unit)}"
    return text if asked.aim is None else f"{text}, aim {number_text(asked.aim)}"


def reached_text(reached: Spread | None, unit: str) -> str:
    """ "0.512 (0.498 to 0.530)"."""
    if reached is None:
        return "not measured"
    text = _with_unit(number_text(reached.median), unit)
    if reached.low == reached.high:
        return text
    return f"{text} ({number_text(reached.low)} to {number_text(reached.high)})"


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def ok_text(ok: bool | None) -> str:
    """yes, **no** or -."""
    return "-" if ok is None else "yes" if ok else "**no**"


def table_lines(figures: list[Figure]) -> list[str]:
    """The table, one line per figure."""
    lines = ["| figure | asked | reached | ok |", "|---|---|---|---|"]
    lines += [
        f"| {figure.title} | {asked_text(figure.asked, figure.unit)} "
        f"| {reached_text(figure.reached, figure.unit)} | {ok_text(figure.ok)} |"
        for figure in figures
    ]
    return lines


def method_lines(figure: Figure) -> list[str]:
    """How a figure was measured, and the numbers behind it."""
    lines = [f"### {figure.title}", figure.method]
    if figure.note:
        lines += ["", figure.note]
    if figure.extra:
        shown = "; ".join(
            f"{name.replace('_', ' ')} {_extra_text(value)}" for name, value in figure.extra.items()
        )
        lines += ["", f"Behind it: {shown}."]
    return [*lines, ""]


def _extra_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else number_text(value)


def page(results: dict[str, Any]) -> str:
    """The whole of docs/bench.md."""
    figures = [figure_from_json(found) for found in results["figures"]]
    machine = results["machine"]
    lines = [_INTRODUCTION]
    lines += table_lines(figures)
    missed = [figure.title for figure in figures if figure.ok is False]
    lines += ["", f"Missed: {'; '.join(missed)}." if missed else "Nothing was missed."]
    lines += ["", "## Conditions", ""]
    lines += [
        f"- {name.replace('_', ' ')}: {_extra_text(value)}"
        for name, value in machine.items()
        if name != "load"
    ]
    lines += [
        f"- load average (1 min) before and after {part}: {before:.1f}, {after:.1f}"
        for part, (before, after) in machine.get("load", {}).items()
    ]
    lines += [f"- commit {results['commit']}, {results['started']}, "
              f"{results['took_seconds']:.0f} s", ""]  # fmt: skip
    lines += ["## How each was measured", ""]
    for figure in figures:
        lines += method_lines(figure)
    lines += [_SCHEMA_TEXT, ONCE.read_text("utf-8").partition("-->\n")[2].rstrip("\n"), ""]
    return "\n".join(lines)


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(json.loads(RESULTS.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
