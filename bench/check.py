# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What it costs to check every walk: the same walk with its check and without, at rest.

``python -m bench.check`` measures it where it runs, as it does in a guest with an older iterator.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.children import OUT, CannotMeasure, Children
from bench.figures import Asked, Figure, figure_from_json
from bench.measure import Cost, cost_of, cost_ratio, in_turn, milliseconds
from bench.plan import QUICK, Plan
from vmad.errors import VmadError
from vmad.model.kernel import running_kernel
from vmad.rules.kernel_rules import KernelRules
from vmad.sources.bpf import lockless, open_coded, queued, task_vma
from vmad.sources.bpf.census import KernelCensus
from vmad.sources.bpf.layout import WANTED, settings_of
from vmad.sources.bpf.waiting import Walk, is_exact

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(queued.__file__).parent

#: a kernel of the lab whose walk is the task_vma iterator, under mmap_lock
OLDER = "6.1"
#: walks of everything to one measurement
TIMES = 3


def unchecked_objects() -> Path:
    """The directory of the BPF objects without the check; made anew when a source is newer."""
    where = OUT / "unchecked"
    where.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in SOURCES.glob("*.bpf.[ch]"))
    for name in ("lockless.bpf", "open_coded.bpf", "task_vma.bpf"):
        made = where / f"{name}.o"
        if made.exists() and made.stat().st_mtime > newest:
            continue
        machine = {"x86_64": "x86", "aarch64": "arm64"}[os.uname().machine]
        command = ["clang", "-g", "-O2", "-DUNCHECKED=1", "-target", "bpf", "-mcpu=v3"]
        command += [f"-D__TARGET_ARCH_{machine}", "-c", str(SOURCES / f"{name}.c"), "-o", str(made)]
        subprocess.run(command, check=True)
    return where


@contextmanager
def _objects_in(directory: Path) -> Iterator[None]:
    """What is loaded meanwhile comes from there."""
    usual = queued.HERE
    queued.HERE = task_vma.HERE = directory
    try:
        yield
    finally:
        queued.HERE = task_vma.HERE = usual


def _walk() -> Walk:
    text = settings_of(KernelRules.of(running_kernel()))
    for kind in (lockless.LocklessWalk, open_coded.OpenCodedWalk):
        with suppress(VmadError):
            return kind(text)
    return task_vma.TaskVmaWalk(text)


def measure_here(plan: Plan) -> Figure:
    """On this kernel, by its best walk."""
    with Children() as children:
        large = children.large(plan.large_vmas)
        small = children.small(plan.small_processes)
        pids = [large.pid, *(child.pid for child in small)]
        census = KernelCensus()
        rows = census.take()
        census.close()
        rows = rows[np.isin(rows["pid"], pids)]
        wanted = np.zeros(len(rows), WANTED)
        for ours, theirs in (("task_pid", "task_pid"), ("seen_pid", "pid")):
            wanted[ours] = rows[theirs]
        wanted["start_boottime"] = rows["start_boottime"]
        checked = _walk()
        with _objects_in(unchecked_objects()):
            bare = _walk()

        def with_check() -> int:
            return sum(int(is_exact(headers).sum()) for headers, _ in checked.count(wanted))

        def without() -> int:
            return sum(len(headers) for headers, _ in bare.count(wanted))

        def cost(work: Callable[[], int]) -> Callable[[], Cost]:
            return lambda: cost_of(work, TIMES)

        costs = in_turn(
            {"checked": cost(with_check), "unchecked": cost(without)},
            plan.rounds * 3,
            plan.step("the check"),
        )
        exact = with_check()
        name = checked.name
        checked.close()
        bare.close()
    ratio = cost_ratio(costs["checked"], costs["unchecked"])
    return Figure(
        "check",
        "a walk with its check against the same walk without, at rest",
        "",
        Asked("<=", 1.05),
        ratio.judged,
        f"One process of {plan.large_vmas:,} VMAs and {plan.small_processes} sleeping ones, each "
        "walked once, the counts taken over. Without: BPF objects made from the same sources with "
        "neither map_count nor mm_lock_seq looked at.",
        extra={
            "walk": name,
            "kernel": os.uname().release,
            "processes": len(wanted),
            "exact_at_the_first_walk": exact,
            "wall_ratio": ratio.wall.median,
            "cpu_ratio": ratio.cpu.median,
        }
        | milliseconds(costs["checked"], "checked")
        | milliseconds(costs["unchecked"], "unchecked"),
    )


def measure(plan: Plan) -> list[Figure]:
    """Here, and in a guest with an older iterator where the lab has its kernel."""
    return [measure_here(plan), _in_guest(plan)]


def _in_guest(plan: Plan) -> Figure:
    title = f"the same, in an emulated guest of Linux {OLDER}, whose walk holds mmap_lock"
    empty = Figure("check-older", title, "", Asked("<=", 1.05), None, "See the line above.")
    command = [sys.executable, "-m", "bench.check"]
    if plan == QUICK:
        command.append("--quick")
    unchecked_objects()
    try:
        from vmad.lab.run import run_in_guest  # noqa: PLC0415  the lab wants programs of its own

        result = run_in_guest(OLDER, command)
        if result.status:
            raise CannotMeasure(result.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
        found = figure_from_json(json.loads(result.stdout))
    except VmadError as error:
        return replace(empty, note=f"{error}.")
    return replace(found, name=empty.name, title=title, method=empty.method)


def main() -> int:
    """The figure as JSON on stdout."""
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    # emulated, everything takes thirty times as long
    plan = QUICK if quick else Plan(large_vmas=20_000, small_processes=100, rounds=5)
    print(json.dumps(measure_here(plan).to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
