# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""docs/atlas.md and its picture, out of results.json: ``python -m bench.atlas.page``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from bench.atlas.picture import picture
from bench.atlas.row import ROOT, Row
from bench.atlas.rows import ROWS
from bench.atlas.run import read_results
from vmad.advice.catalogue import ADVICE
from vmad.advice.record import Advice, Measured

PAGE = ROOT / "docs" / "atlas.md"
PICTURE = ROOT / "docs" / "atlas.svg"
#: kinds and reasons of a row that are told
_TOLD = 4

_HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->
<!-- Made by `make atlas` from bench/atlas/results.json. Do not edit. -->

# Atlas

What VMAs real programs have, and what advice did to them. `make atlas` fetches the programs
(Debian's packages, unpacked and not installed; PyPI; npm), runs each under a load of our own
(`bench/atlas/loads`), waits until the load stands, and reads it as `vmad explain` does, with the
kernel's own evidence. One run each: where threads race, numbers differ by some tenths from run to
run. `vmad explain` names the row that a process resembles.

![VMAs by pattern, a bar for each program](atlas.svg)

In the tables *recoverable* are the VMAs that would vanish if everything merged that may: on a
stock kernel, on the patched kernel, by a rebuild.
"""


def main() -> None:
    """Write both files."""
    results = read_results()
    PICTURE.write_text(picture(results), encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: dict[str, dict[str, Any]]) -> str:
    """The whole page, Markdown."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield _HEAD
    measured = {name: result for name, result in results.items() if "vmas" in result}
    kernels = sorted({result["kernel"] for result in measured.values()})
    yield f"{len(measured)} of {len(ROWS)} rows were measured, on Linux {', '.join(kernels)}.\n"
    yield "## What the advice did\n"
    yield "| advice | for | before | after | |"
    yield "|---|---|---|---|---|"
    for record in ADVICE.values():
        yield from _effect(record, measured)
    yield ""
    rows = [row for row in ROWS.values() if row.name in measured]
    for group, members in groupby(rows, key=lambda row: row.group):
        yield f"## {group}\n"
        yield "| row | program | load | VMAs | kinds | pairs by reason | recoverable |"
        yield "|---|---|---|---:|---|---|---|"
        for row in members:
            yield _row(row, measured[row.name])
        yield ""
    missing = [name for name in ROWS if name in results and name not in measured]
    if missing:
        yield "## Not measured\n"
        for name in missing:
            yield f"- {name}: {_cell(results[name]['not_measured'])}"


def _effect(record: Advice, measured: dict[str, dict[str, Any]]) -> Iterator[str]:
    proof = record.proof
    if not isinstance(proof, Measured):
        return
    before, after = (measured.get(name) for name in proof.atlas)
    if before is None or after is None:
        return
    times = before["vmas"] / after["vmas"]
    yield (
        f"| [{record.name}](runbook.md#{record.anchor}) | {record.whom} | "
        f"{proof.atlas[0]}: {before['vmas']:,} | {proof.atlas[1]}: {after['vmas']:,} | "
        f"{times:.1f} times fewer |"
    )


def _row(row: Row, result: dict[str, Any]) -> str:
    recoverable = result["recoverable"]
    counts = [recoverable.get(rules) for rules in ("stock", "relaxed", "rebuild")]
    text = " / ".join("?" if count is None else f"{count:,}" for count in counts)
    version = f"{row.program}, {result['version']}" if result["version"] else row.program
    cells = (
        f'<a id="{row.name}"></a>{row.name}', version, row.load, f"{result['vmas']:,}",
        _most(result["kinds"]), _most(result["reasons"]), text,
    )  # fmt: skip
    return f"| {' | '.join(map(_cell, cells))} |"


def _most(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])[:_TOLD]
    return ", ".join(f"{name} {count:,}" for name, count in most) or "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
