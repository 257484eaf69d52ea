# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The same workload on several kernels: VMAs over time, pairs, system calls, run time.

One boot per run, kernels in turn, so that what the host does in the meantime falls on all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmad.lab.cache import default_cache, write_whole
from vmad.lab.compare_report import html
from vmad.lab.errors import LabError
from vmad.lab.machine import MIB, Machine, bytes_of
from vmad.lab.run import BOOT_TIMEOUT, run_streaming
from vmad.lab.workloads import WORKLOADS, Prepared, prepared

SCHEMA = "vmad.compare/1"
#: what a run may take beyond its seconds: start-up and tear-down of a workload without KVM
SLACK_SECONDS = 300.0


def compare(
    kernels: Sequence[str],
    words: Sequence[str],
    *,
    seconds: int,
    repeat: int = 1,
    memory: int | None = None,
    cpus: int = Machine.cpus,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run ``words`` (a shipped workload's name, or any command) ``repeat`` times on each kernel.

    A kernel may be given as ``NAME@N``: a patched one with vm.anon_vma_merge set to N from boot on.

    Returns the document that is written as JSON. Raises ``LabError`` when a guest fails, or the
    workload ends with another status than 0.
    """
    workload = prepared(default_cache(), words)
    machine = Machine(memory=memory or workload.memory, cpus=cpus)
    runs = []
    for number in range(repeat):
        for kernel in kernels:
            run = {"kernel": kernel, "run": number, **_one(kernel, workload, machine, seconds)}
            runs.append(run)
            peak = max((sample[1] for sample in run["samples"]), default=0)
            told(
                f"{kernel}: run {number + 1} of {repeat}: peak {peak} VMAs, "
                f"{run['run_seconds']:.1f} s"
            )
    return {
        "schema": SCHEMA,
        "workload": words[0],
        "command": " ".join(words),
        "seconds": seconds,
        "repeat": repeat,
        "kernels": list(kernels),
        "machine": f"{machine.cpus} CPUs, {machine.memory // MIB} MiB",
        "made_at": time.strftime("%Y-%m-%d %H:%M %Z"),
        "summary": {
            kernel: summary_of([run for run in runs if run["kernel"] == kernel])
            for kernel in kernels
        },
        "runs": runs,
    }


def _one(kernel: str, workload: Prepared, machine: Machine, seconds: int) -> dict[str, Any]:
    wanted = {
        "argv": list(workload.argv),
        "environment": {**workload.environment, "VMAD_LAB_SECONDS": str(seconds)},
        "tree": str(workload.tree) if workload.tree else None,
    }
    stdout, stderr = bytearray(), bytearray()
    name, _, switch = kernel.partition("@")
    if switch:
        # Documentation/admin-guide/kernel-parameters.txt: sysctl.*, 5.8 and later
        parameter = f"sysctl.vm.anon_vma_merge={switch}"
        machine = replace(machine, extra_parameters=(*machine.extra_parameters, parameter))
    ending = run_streaming(
        name,
        # What the workload names below /tmp is to be seen in the guest: its words come last.
        [sys.executable, "-m", "vmad.lab.compare_guest", json.dumps(wanted), *workload.argv],
        machine=machine,
        timeout=BOOT_TIMEOUT + seconds + SLACK_SECONDS,
        out_dir=None,
        stdin=b"",
        stdout=stdout.extend,
        stderr=stderr.extend,
    )
    said = bytes(stderr[-3000:]).decode(errors="replace").strip()
    if ending.status != 0:
        raise LabError(
            f"the sampling of {workload.name} on {kernel} ended with status {ending.status}",
            "what it printed follows",
            console=said,
        )
    run: dict[str, Any] = json.loads(stdout)
    if run["status"] != 0:
        raise LabError(
            f"{workload.name} on {kernel} ended with status {run['status']}",
            "what it printed follows",
            console=said,
        )
    run["said"] = said
    run["host_load"] = round(os.getloadavg()[0], 2)
    return run


Figure = tuple[float, float, float]  #: median, lowest, highest


def figure(values: Iterable[float | None]) -> Figure | None:
    """Median and spread; None as soon as one run does not know its value."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    numbers = [float(value) for value in known if value is not None]
    return statistics.median(numbers), min(numbers), max(numbers)


def summary_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The runs of one kernel, reduced to medians and spreads."""
    figures = {
        "VMAs at the peak": figure(max(s[1] for s in run["samples"]) for run in runs),
        "VMAs when judged nearest to the peak": figure(_of(run, "peak", "vmas") for run in runs),
        "VMAs at the end": figure(_of(run, "end", "vmas") for run in runs),
        "VMAs of all processes at once": figure(max(s[2] for s in run["samples"]) for run in runs),
        "processes at once": figure(max(s[3] for s in run["samples"]) for run in runs),
        "run time, s": figure(run["run_seconds"] for run in runs),
        "pairs at the peak": figure(sum(_pairs(run, "peak").values()) for run in runs),
        "samples taken": figure(len(run["samples"]) for run in runs),
    }
    recoverable = {
        f"{rules} rules, at the {when}": figure(
            (run[when] or {"recoverable": {rules: None}})["recoverable"][rules] for run in runs
        )
        for when in ("peak", "end")
        for rules in ("stock", "relaxed")
    }
    attempts = _attempts(runs)
    if attempts:
        shares = [stay_shared(run["attempts"]) for run in runs]
        figures["attempts to merge"] = figure(sum(run["attempts"].values()) for run in runs)
        figures["of those beyond stock, refused as shared, %"] = figure(shares)
    names = [name for run in runs for name in run["calls"]]
    calls = {name: figure(run["calls"].get(name, 0) for run in runs) for name in names}
    return {
        "release": runs[0]["release"],
        "evidence": runs[0]["evidence"],
        "figures": {
            **figures,
            **{f"recoverable by {name}": value for name, value in recoverable.items()},
            **{f"calls of {name}": value for name, value in calls.items()},
        },
        "recoverable": recoverable,
        "calls": calls,
        "attempts": attempts,
        "peak_pairs": _by_reason(runs, "peak"),
        "end_pairs": _by_reason(runs, "end"),
    }


#: refusals of attempts that no part of the patch series could lift (docs/patched-kernel.md)
_NOT_LIFTED = {
    "vm_flags", "vm_file", "mempolicy", "vm_userfaultfd_ctx", "anon_vma_name", "vm_ops_close",
    "anon_vma_chain",
}  # fmt: skip
_SHARED = {"anon_vma_shared", "vm_pgoff_shared", "page_shared", "page_ksm"}


def stay_shared(attempts: Mapping[str, int]) -> float | None:
    """Of the attempts that stock refuses for anon_vma or page offset, the percentage that a patched
    kernel refuses as well because pages are shared; None when there was no such attempt.
    """
    beyond = shared = 0
    for name, count in attempts.items():
        outcome, reason = name.split(" ")
        if name == "merged stock" or (outcome == "refused" and reason in _NOT_LIFTED):
            continue
        beyond += count
        shared += count if reason in _SHARED else 0
    return 100 * shared / beyond if beyond else None


def _attempts(runs: Sequence[Mapping[str, Any]]) -> dict[str, Figure | None]:
    names = dict.fromkeys(name for run in runs for name in run["attempts"])
    return {name: figure(run["attempts"].get(name, 0) for run in runs) for name in names}


def _of(run: Mapping[str, Any], when: str, name: str) -> float | None:
    return run[when][name] if run[when] else None


def _pairs(run: Mapping[str, Any], when: str) -> dict[str, int]:
    """Pairs by decisive reason under the stock rules."""
    found: dict[str, int] = {}
    for rules, verdict, reason, count in run[when]["pairs"] if run[when] else ():
        if rules == "stock":
            name = reason if verdict == "blocked" else f"{verdict}: {reason}"
            found[name] = found.get(name, 0) + count
    return found


def _by_reason(runs: Sequence[Mapping[str, Any]], when: str) -> dict[str, Figure | None]:
    counted = [_pairs(run, when) for run in runs]
    names = [name for each in counted for name in each]
    return {name: figure(each.get(name, 0) for each in counted) for name in dict.fromkeys(names)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``vmad lab compare``."""
    parser.add_argument(
        "--kernels",
        required=True,
        metavar="A,B",
        help="kernels to compare; NAME@N sets vm.anon_vma_merge",
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each kernel")
    parser.add_argument(
        "--seconds",
        type=int,
        default=60,
        metavar="N",
        help="of work, on two cores without KVM, about (default %(default)s)",
    )
    parser.add_argument("--memory", default=None, metavar="SIZE", help="default: the workload's")
    parser.add_argument("--cpus", type=int, default=Machine.cpus, help="default %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="NAME",
        help="writes NAME.html and NAME.json (default vmad-compare-WORKLOAD)",
    )
    names = "; ".join(f"{name}: {workload.summary}" for name, workload in WORKLOADS.items())
    parser.add_argument("workload", nargs="+", metavar="WORKLOAD", help=f"a command, or {names}")


def run(args: argparse.Namespace) -> int:
    """Compare, and write the report."""
    if args.repeat < 1 or args.seconds < 1:
        raise LabError("--repeat and --seconds must be 1 or more", "give larger numbers")
    document = compare(
        [name for name in args.kernels.replace(",", " ").split() if name],
        args.workload,
        seconds=args.seconds,
        repeat=args.repeat,
        memory=bytes_of(args.memory) if args.memory else None,
        cpus=args.cpus,
        told=lambda line: print(f"vmad lab: {line}", file=sys.stderr, flush=True),
    )
    out = args.out or Path(f"vmad-compare-{Path(args.workload[0]).name}")
    page, data = out.with_name(f"{out.name}.html"), out.with_name(f"{out.name}.json")
    write_whole(data, (json.dumps(document) + "\n").encode())
    write_whole(page, html(document).encode())
    print(f"{page}\n{data}")
    return 0
