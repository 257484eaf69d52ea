# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""docs/bench.md out of results/, and what was measured otherwise out of measured-once.md."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Asked, Figure, figure_from_json
from bench.ratios import Spread

SCHEMA = "vmad.bench/1"
HERE = Path(__file__).parent
RESULTS = HERE / "results"
ONCE = HERE / "measured-once.md"
PAGE = HERE.parent / "docs" / "bench.md"
_TWOFOLD = 2.0

_INTRODUCTION = """\
<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->
<!-- made from bench/results/ and bench/measured-once.md by python -m bench.report -->
# What vmad costs

`make bench` measures each figure against its counterpart in the same run, the two in turn
(A B A B …), and writes down the median of the rounds' own ratios with the quartiles. Where the
machine is shared, what slows it down hits both sides. Ratios of times are taken of wall time and
of CPU time (user and system, children included), and the worse of the two medians is the one
that is shown and judged. "-" under *ok*: nothing was asked, the line is there for comparison.
A column is the latest whole run on that kind of processor, the latest of all first.
"""

_SCHEMA_TEXT = """\
## results/PROCESSOR.json
One object for each kind of processor, schema `vmad.bench/1`:

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


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run on one kind of processor, as results/PROCESSOR.json holds it."""

    processor: str
    machine: dict[str, Any]
    started: str  #: ISO 8601, UTC
    took_seconds: float
    commit: str
    figures: dict[str, Figure]  #: by name

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Run:
        """Of what bench.run gives."""
        figures = [figure_from_json(each) for each in found["figures"]]
        return cls(
            found["machine"].get("processor", "unknown"),
            found["machine"],
            found["started"],
            found["took_seconds"],
            found["commit"],
            {figure.name: figure for figure in figures},
        )


def results_file(processor: str) -> Path:
    """Where a whole run on this kind is kept: results/intel-xeon-processor.json."""
    words = re.findall(r"[a-z0-9]+", processor.lower().replace("(r)", "").replace("(tm)", ""))
    return RESULTS / f"{'-'.join(words) or 'unknown'}.json"


def read_runs() -> list[Run]:
    """Of every kind of processor, the latest first."""
    runs = [Run.from_json(json.loads(file.read_text("utf-8"))) for file in RESULTS.glob("*.json")]
    return sorted(runs, key=lambda run: run.started, reverse=True)


def table_lines(runs: list[Run]) -> list[str]:
    """The table, one line per figure, the processors side by side."""
    heads = [f"{run.processor} | ok" for run in runs]
    lines = [f"| figure | asked | {' | '.join(heads)} |", "|---" * (2 + 2 * len(runs)) + "|"]
    for figure in _figures(runs):
        words = [figure.title, asked_text(figure.asked, figure.unit)]
        for run in runs:
            words += _cells(run.figures.get(figure.name))
        lines.append(f"| {' | '.join(words)} |")
    return lines


def _figures(runs: list[Run]) -> list[Figure]:
    """Each once, as the latest run has it."""
    found: dict[str, Figure] = {}
    for run in runs:
        found |= {name: figure for name, figure in run.figures.items() if name not in found}
    return list(found.values())


def _cells(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["not measured", "-"]
    return [reached_text(figure.reached, figure.unit), ok_text(figure.ok)]


def apart(runs: list[Run]) -> list[Figure]:
    """What differs more than twofold between two of the processors."""
    found = []
    for figure in _figures(runs):
        there = [run.figures[figure.name] for run in runs if figure.name in run.figures]
        medians = [one.reached.median for one in there if one.reached is not None]
        if len(medians) > 1 and max(medians) > _TWOFOLD * min(medians):
            found.append(figure)
    return found


def method_lines(figure: Figure, runs: list[Run]) -> list[str]:
    """How a figure was measured, and the numbers behind it."""
    lines = [f"### {figure.title}", figure.method]
    for run in runs:
        measured = run.figures.get(figure.name)
        if measured is None:
            continue
        if measured.note:
            lines += ["", f"{run.processor}: {measured.note}" if len(runs) > 1 else measured.note]
        if measured.extra:
            shown = "; ".join(
                f"{name.replace('_', ' ')} {_extra_text(value)}"
                for name, value in measured.extra.items()
            )
            on = f" on {run.processor}" if len(runs) > 1 else ""
            lines += ["", f"Behind it{on}: {shown}."]
    return [*lines, ""]


def _extra_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else number_text(value)


def page(runs: list[Run]) -> str:
    """The whole of docs/bench.md; the latest run first."""
    lines = [_INTRODUCTION, *table_lines(runs), ""]
    for run in runs:
        missed = [figure.title for figure in run.figures.values() if figure.ok is False]
        said = f"Missed on {run.processor}: {'; '.join(missed)}."
        lines += [said if missed else f"Nothing was missed on {run.processor}.", ""]
    if differ := apart(runs):
        lines += [f"More than twofold apart: {'; '.join(figure.title for figure in differ)}.", ""]
    lines += ["## Conditions", ""]
    for run in runs:
        lines += [f"### {run.processor}", *_condition_lines(run), ""]
    lines += ["## How each was measured", ""]
    for figure in _figures(runs):
        lines += method_lines(figure, runs)
    lines += [_SCHEMA_TEXT, ONCE.read_text("utf-8").partition("-->\n")[2].rstrip("\n"), ""]
    return "\n".join(lines)


def _condition_lines(run: Run) -> list[str]:
    lines = [
        f"- {name.replace('_', ' ')}: {_extra_text(value)}"
        for name, value in run.machine.items()
        if name not in ("load", "processor")
    ]
    lines += [
        f"- load average (1 min) before and after {part}: {before:.1f}, {after:.1f}"
        for part, (before, after) in run.machine.get("load", {}).items()
    ]
    return [*lines, f"- commit {run.commit}, {run.started}, {run.took_seconds:.0f} s"]


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(read_runs()), "utf-8")


if __name__ == "__main__":
    main()
