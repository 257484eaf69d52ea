# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Measures rows one after another and keeps the results; what is known already stays."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from bench.atlas.measure import NotMeasured, measure
from bench.atlas.packages import compile_loads, fetch
from bench.atlas.row import HERE, ROOT, Row
from bench.atlas.rows import ROWS
from vmad.errors import VmadError

RESULTS = HERE / "results.json"
#: what `vmad explain` compares processes with
KNOWN = ROOT / "vmad" / "advice" / "atlas.json"


def main() -> int:
    """Exit status 1 when a row could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows (default: all)")
    parser.add_argument("--missing", action="store_true", help="only those without a result")
    parser.add_argument("--no-fetch", action="store_true", help="all packages are there already")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - ROWS.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    results = read_results()
    rows = [row for row in ROWS.values() if not arguments.names or row.name in arguments.names]
    if arguments.missing:
        rows = [row for row in rows if "vmas" not in results.get(row.name, {})]
    compile_loads()
    if not arguments.no_fetch:
        fetch({needs for row in rows for needs in (row.needs, row.also) if needs is not None})
    failed = 0
    for row in rows:
        try:
            results[row.name] = asdict(measure(row))
            said = f"{results[row.name]['vmas']:,} VMAs"
        except (NotMeasured, OSError, VmadError) as error:
            failed += 1
            results[row.name] = {"not_measured": str(error).splitlines()[-1][:200]}
            said = f"not measured: {error}"
        print(f"{row.name}: {said}", file=sys.stderr, flush=True)
        write_results(results)
    return 1 if failed else 0


def read_results() -> dict[str, dict[str, Any]]:
    """By row; empty before the first run."""
    if not RESULTS.exists():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text("utf-8"))["rows"]
    return found


def write_results(results: dict[str, dict[str, Any]]) -> None:
    """One row a line, in the order of the rows; and what explain needs of them."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(results[name], sort_keys=True)}"
        for name in ROWS
        if name in results
    ]
    RESULTS.write_text('{"schema": "vmad.atlas/1", "rows": {\n' + ",\n".join(lines) + "\n}}\n")
    known = [
        json.dumps(known_row(row, results[row.name]), sort_keys=True)
        for row in ROWS.values()
        if "vmas" in results.get(row.name, {})
    ]
    KNOWN.write_text("[\n" + ",\n".join(known) + "\n]\n")


def known_row(row: Row, result: dict[str, Any]) -> dict[str, Any]:
    """A row as :mod:`vmad.advice.atlas` reads it."""
    return {
        "name": row.name,
        "program": row.program,
        "load": row.load,
        "vmas": result["vmas"],
        "patterns": result["patterns"],
        "programs": result["programs"],
    }
