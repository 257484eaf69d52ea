# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Makers as weighted stacks: the folded lines of flame graph programs, and speedscope's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from vmad.blame.attribution import Origin
from vmad.blame.blamed import Blamed, Maker, OneProcess
from vmad.export.printable import printable
from vmad.model.kinds import KIND_TEXT

#: what stands where nobody was seen
NOBODY = {
    Origin.BEFORE: "(before the recording)",
    Origin.KERNEL: "(by the kernel)",
    Origin.FORGOTTEN: "(no longer known)",
}


def cause_of(maker: Maker) -> str:
    """The reason of the pair, or what the VMA is."""
    if maker.reason is not None:
        return maker.reason
    return KIND_TEXT[maker.kind] if maker.kind is not None else "unknown"


def paths(blamed: Blamed) -> Iterator[tuple[tuple[str, ...], Maker]]:
    """Every maker with its path, which begins with the process where there are several."""
    for one in blamed.everybody:
        process = (process_name(one),) if blamed.children else ()
        for maker in one.makers:
            yield (*process, *path_of(maker)), maker


def process_name(one: Blamed | OneProcess) -> str:
    """What tells it apart from others."""
    return printable(f"{one.comm} ({one.pid})")


def path_of(maker: Maker) -> tuple[str, ...]:
    """Cause, frames from the outermost on, and the call."""
    if maker.origin in NOBODY:
        return (cause_of(maker), NOBODY[maker.origin])
    frames = tuple(printable(frame.name) for frame in reversed(maker.stack.frames))
    return (cause_of(maker), *(frames or ("(stack not kept)",)), maker.call or "?")


def folded(blamed: Blamed) -> Iterator[str]:
    """``cause;main;...;mmap N`` lines; N: VMAs."""
    for path, vmas in sorted(_added_up(blamed).items()):
        yield ";".join(step.replace(";", ":") for step in path) + f" {vmas}\n"


def speedscope(blamed: Blamed) -> Iterator[str]:
    """https://www.speedscope.app/file-format-schema.json, one sampled profile; weights: VMAs."""
    frames: dict[str, int] = {}
    samples, weights = [], []
    for path, vmas in _added_up(blamed).items():
        samples.append([frames.setdefault(step, len(frames)) for step in path])
        weights.append(vmas)
    title = f"{process_name(blamed)}: VMAs by who made them"
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "vmad blame",
        "name": title,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": title,
                "unit": "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        ],
    }
    yield json.dumps(document, ensure_ascii=False)


def _added_up(blamed: Blamed) -> dict[tuple[str, ...], int]:
    weights: dict[tuple[str, ...], int] = {}
    for path, maker in paths(blamed):
        weights[path] = weights.get(path, 0) + maker.vmas
    return weights
