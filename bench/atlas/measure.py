# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Starts one row's program, waits until its load stands, and reads it as `vmad explain` does."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.atlas.packages import UNPACKED, entered
from bench.atlas.row import BUILD, LOADS, Needs, Row
from vmad.advice.recognise import TellingSymbols
from vmad.model.kinds import KIND_NAMES, Kind
from vmad.model.process import ProcessId
from vmad.scan.explain import Explanation, explain
from vmad.sources.choose import open_source
from vmad.sources.names import named_or_not
from vmad.sources.procfs.stat import read_stat
from vmad.sources.traits import read_traits


class NotMeasured(Exception):
    """The program did not start, or its load did not stand in time; the text says which."""


@dataclass(frozen=True)
class Measured:
    """What goes into the results: counts, as vmad sees them."""

    vmas: int
    kinds: dict[str, int]
    reasons: dict[str, int]  #: pairs by decisive stock reason
    patterns: dict[str, int]
    programs: list[str]
    recoverable: dict[str, int | None]
    first_advice: str | None
    kernel: str
    version: str


def measure(row: Row) -> Measured:
    """Raises NotMeasured."""
    with running(row) as pid:
        explanation = explained(pid)
    pairs = explanation.pairs
    reasons: dict[str, int] = {}
    for case, count in zip(pairs.cases, pairs.counts(), strict=True):
        reasons[case.stock.decisive] = reasons.get(case.stock.decisive, 0) + count
    best = explanation.selection.best
    return Measured(
        len(explanation.table.rows),
        {KIND_NAMES[kind]: n for kind, n in zip(Kind, explanation.kinds, strict=True) if n},
        dict(sorted(reasons.items(), key=lambda item: -item[1])),
        {count.pattern.value: count.vmas for count in explanation.patterns.counts},
        [str(program) for program in explanation.programs],
        dict(explanation.recoverable),
        best[0].advice.name if best else None,
        explanation.kernel.release,
        _version(row),
    )


def explained(pid: int) -> Explanation:
    """The process as `vmad explain` sees it."""
    with closing(open_source("auto", None)) as source:
        table = named_or_not(source.table(ProcessId(pid, read_stat(pid).start_time)))
        return explain(
            table,
            source.kernel,
            source.max_map_count,
            traits=read_traits(table, TellingSymbols()),
        )


@contextmanager
def running(row: Row) -> Iterator[int]:
    """The pid of its program with the load standing; it has ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="vmad-atlas") as place:
        argv = [_filled(word, Path(place)) for word in row.argv]
        if row.needs is Needs.DEBIAN:
            argv = entered(argv)
        settings = {name: _filled(value, Path(place)) for name, value in row.env.items()}
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd=place, env={**os.environ, **settings}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotMeasured(str(error)) from error
        try:
            if row.ready is None:
                _wait_ready(process, row.seconds)
            else:
                row.ready(process.pid, Path(place))
            yield process.pid
        finally:
            os.killpg(process.pid, 9)
            process.communicate()


def _filled(word: str, place: Path) -> str:
    names = {"build": BUILD, "loads": LOADS, "root": UNPACKED, "here": place}
    for name, value in names.items():
        word = word.replace("{" + name + "}", str(value))
    return word


def _wait_ready(process: subprocess.Popen[bytes], seconds: float) -> None:
    assert process.stdout is not None
    said, end = b"", time.monotonic() + seconds
    while b"READY" not in said:
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise NotMeasured(f"not ready after {seconds:g} s: {_last(said)}")
        more = os.read(process.stdout.fileno(), 4096)
        if not more:
            raise NotMeasured(f"it ended: {_last(said)}")
        said += more


def _last(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()[-200:]


def _version(row: Row) -> str:
    if not row.version:
        return ""
    argv = list(row.version)
    ran = subprocess.run(
        entered(argv) if row.needs is Needs.DEBIAN else [_filled(word, BUILD) for word in argv],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = (ran.stdout or ran.stderr).strip().splitlines()
    return lines[0][:60] if lines else ""
