# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.vm.who_gains``: what the patched kernel gains for the atlas' programs.

Rows of the atlas (bench/atlas/rows) whose prediction is a gain, one after another in a guest of
the stock kernel, of the patched one while it counts (8) and while it merges (7). Each program
stands still with its load when it is counted. On stock a rebuild from user space follows (``vmad
heal --rebuild``), which is the same cure without another kernel. What rows need has to be in
build/atlas already (``python -m bench.atlas`` fetches it).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.atlas.measure import NotMeasured, explained, running
from bench.atlas.packages import compile_loads
from bench.atlas.row import Needs, Row
from bench.atlas.rows import ROWS
from vmad.errors import VmadError
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming
from vmad.model.merge_attempts import MergeAttempts
from vmad.sources.procfs.merge_counters import read_merge_attempts

SWITCH = Path("/proc/sys/vm/anon_vma_merge")
#: name in the table -> kernel, and value of vm.anon_vma_merge (None: there is none). Stock is
#: Debian's own: what is counted are VMAs, not time.
RUNS = {"stock": ("6.12", None), "counting": ("patched-6.12", 8), "on": ("patched-6.12", 7)}
SHENANDOAH = Row(
    "java-25-shenandoah",
    "Java",
    "OpenJDK 25",
    "Shenandoah, 512 MiB, waves",
    (
        "sh",
        "-c",
        'javac -d . {loads}/Load.java && exec {build}/venv/jdk/bin/java "$@"',
        "sh",
        "-XX:+UseShenandoahGC",
        "-Xmx512m",
        "-cp",
        ".",
        "Load",
        "waves",
        "512",
    ),
    Needs.PYPI,
)
NAMES = (
    "reserve-random", "reserve-forked", "buffers-moved", "glibc-realloc", "cpython-in-turn",
    "cpython-lists", "mimalloc", "mimalloc-8", "jemalloc-no-retain", "java-g1",
    SHENANDOAH.name,
)  # fmt: skip
#: what the series can heal
LABELS = ("anon_vma", "vm_pgoff")
#: a program may take so long to stand, emulated and on a busy machine
READY_SECONDS = 900.0
MEMORY = 3072 * MIB


@dataclass(frozen=True)
class Gain:
    """One program on one kernel; attempts are of the whole guest while it ran."""

    name: str
    vmas: int
    predicted: int | None  #: pairs that the patched kernel would merge
    rebuilt: int | None  #: VMAs after a rebuild, on stock
    attempts: dict[str, int]  #: OUTCOME_REASON -> number, only what there were


def row_named(name: str) -> Row:
    """A row of the atlas, or the one that is only here."""
    return replace({**ROWS, SHENANDOAH.name: SHENANDOAH}[name], seconds=READY_SECONDS)


def grown(before: MergeAttempts, after: MergeAttempts) -> dict[str, int]:
    """What was counted in between, most first."""
    rose = {"_".join(key): after[key] - before[key] for key in after if after[key] != before[key]}
    return dict(sorted(rose.items(), key=lambda item: -item[1]))


def gain(row: Row, *, rebuild: bool) -> Gain:
    """In the guest: start it, count it, and rebuild it if that is asked for.

    Raises ``NotMeasured`` and ``VmadError``.
    """
    before = read_merge_attempts() or {}
    with running(row) as pid:
        attempts = grown(before, read_merge_attempts() or {})
        explanation = explained(pid)
        after = None
        if rebuild:
            heal = [sys.executable, "-m", "vmad", "heal", str(pid), "--rebuild", "--apply"]
            subprocess.run(heal, check=False, stdout=subprocess.DEVNULL)
            after = len(Path(f"/proc/{pid}/maps").read_bytes().splitlines())
    return Gain(
        row.name,
        len(explanation.table.rows),
        dict(explanation.recoverable).get("relaxed"),
        after,
        attempts,
    )


def inside(mask: int | None, names: Iterable[str], out: Path) -> None:
    """All rows in this guest; what is known is written after each."""
    if mask is not None:
        SWITCH.write_text(str(mask))
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = asdict(gain(row_named(name), rebuild=mask is None))
        except (NotMeasured, OSError, VmadError) as error:
            found[name] = {"not_measured": str(error)}
        print(f"{name}: {found[name]}", flush=True)
        out.write_text(json.dumps(found, indent=1) + "\n")


def shared_share(attempts: Mapping[str, int]) -> float | None:
    """Of what counting refused for anon_vma or page offset, the part that a fork shares."""
    shared = sum(attempts.get(f"refused_{reason}_shared", 0) for reason in LABELS)
    every = shared + sum(attempts.get(f"refused_{reason}_off", 0) for reason in LABELS)
    return shared / every if every else None


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The programs of all runs, as Markdown."""
    lines = [
        "| program | stock | predicted | on | rebuilt on stock | merged thanks to the series "
        "| shared | refused on, for a page, the bound or fork |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in found.get("on", {}):
        rows = {run: found[run].get(name, {}) for run in found}
        on, stock = rows["on"].get("attempts", {}), rows.get("stock", {})
        thanks = sum(
            n for key, n in on.items() if key.startswith("merged_") and key != "merged_stock"
        )
        late = [
            f"{key.removeprefix('refused_')} {n:,}"
            for key, n in on.items()
            if key.startswith("refused_page") or key.endswith(("_limit", "_shared"))
        ]
        share = shared_share(rows.get("counting", {}).get("attempts", {}))
        cells = [
            name,
            *(
                "-" if number is None else f"{number:,}"
                for number in (
                    stock.get("vmas"), stock.get("predicted"), rows["on"].get("vmas"),
                    stock.get("rebuilt"), thanks,
                )
            ),
            "-" if share is None else f"{share:.0%}",
            ", ".join(late) or "-",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """One guest per run, and the table of what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", nargs="+", default=NAMES, metavar="ROW")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=[*RUNS])
    parser.add_argument("--out", type=Path, default=Path("build/who-gains"))
    parser.add_argument("--seconds", type=int, default=3600, help="of a guest, at most")
    parser.add_argument("--inside", help="in the guest: name of the run")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    if arguments.inside:
        inside(RUNS[arguments.inside][1], arguments.programs, out / f"{arguments.inside}.json")
        return 0
    compile_loads()
    out.mkdir(parents=True, exist_ok=True)
    for name in arguments.runs:
        command = [
            "python3", "-m", "tests.vm.who_gains", "--inside", name, "--out", str(out),
            "--programs", *arguments.programs,
        ]  # fmt: skip
        try:
            run_streaming(
                RUNS[name][0],
                command,
                machine=Machine(MEMORY, 2),
                timeout=arguments.seconds,
                out_dir=out,
                stdin=b"",
                stdout=sys.stdout.buffer.write,
                stderr=sys.stderr.buffer.write,
            )
        except LabError as error:
            print(f"{name}: {error}", file=sys.stderr)
    files = {name: out / f"{name}.json" for name in RUNS}
    found = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
