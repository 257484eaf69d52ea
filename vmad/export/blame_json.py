# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording as JSON, as ``vmad blame`` prints, keeps and reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from vmad.blame.attribution import Origin
from vmad.blame.blamed import Blamed, Maker, OneProcess
from vmad.blame.known import made_with
from vmad.blame.stack import Ending, Frame, Stack
from vmad.errors import BadCapture
from vmad.export.printable import utf8
from vmad.model.kinds import Kind
from vmad.sources.bpf.blame import Losses

SCHEMA: Final = "vmad-blame/1"


def blame_json(blamed: Blamed) -> Iterator[str]:
    """In pieces. Stacks are listed once, makers refer to them by number; None for unknown."""
    numbers: dict[Stack, int] = {}
    for maker in (maker for one in blamed.everybody for maker in one.makers):
        if maker.stack.frames:
            numbers.setdefault(maker.stack, len(numbers))
    document = {
        "schema": SCHEMA,
        "seconds": round(blamed.seconds, 3),
        "map_count_before": blamed.map_count_before,
        "calls": blamed.calls,
        "recorded_by": blamed.way,
        "distinct_stacks": blamed.stacks,
        "complete_stacks": blamed.complete_stacks,
        "lost": asdict(blamed.losses),
        **_process(blamed, numbers),
        "children": [_process(child, numbers) for child in blamed.children],
        "stacks": [_stack(stack) for stack in numbers],
    }
    encoder = json.JSONEncoder(ensure_ascii=False, indent=1)
    yield from encoder.iterencode(document)
    yield "\n"


def _process(one: Blamed | OneProcess, numbers: dict[Stack, int]) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "comm": utf8(one.comm),
        "map_count": one.map_count,
        "vmas_told": one.told,
        "vmas_before_recording": one.vmas_of(Origin.BEFORE),
        "vmas_by_kernel": one.vmas_of(Origin.KERNEL),
        "vmas_doubtful": one.doubtful,
        "ended_seconds_later": one.ended,
        "map_count_end": one.map_count_end,
        "makers": [_maker(maker, numbers) for maker in one.makers],
    }


def _maker(maker: Maker, numbers: dict[Stack, int]) -> dict[str, Any]:
    return {
        "vmas": maker.vmas,
        "reason": maker.reason,
        "kind": None if maker.kind is None else maker.kind.name.lower(),
        "origin": maker.origin.name.lower(),
        "call": maker.call,
        "stack": numbers.get(maker.stack),
        "doubtful": maker.doubtful,
        "over_seconds": round(maker.seconds, 3),
    }


def _stack(stack: Stack) -> dict[str, Any]:
    return {
        "ending": stack.ending.value,
        "made_with": list(made_with(stack)),
        "frames": [_frame(frame) for frame in stack.frames],
    }


def _frame(frame: Frame) -> dict[str, Any]:
    return {
        "function": None if frame.function is None else utf8(frame.function),
        "module": None if frame.module is None else utf8(frame.module),
        "offset": frame.offset,
        "source": None if frame.source is None else utf8(frame.source),
        "build_id": frame.build_id,
    }


def blamed_of(text: str, name: str) -> Blamed:
    """A recording from its JSON; ``name`` is the file's. Raises BadCapture with what is wrong."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise BadCapture(f"{name}: not a recording of vmad blame", "make one with -o NAME.json")
        stacks = [_stack_of(stack) for stack in document["stacks"]]
        first, *children = (
            _process_of(one, stacks) for one in (document, *document.get("children", ()))
        )
        return Blamed(
            first.pid,
            first.comm,
            float(document["seconds"]),
            _optional_int(document["map_count_before"]),
            first.map_count,
            int(document["calls"]),
            str(document["recorded_by"]),
            first.makers,
            Losses(**{key: int(value) for key, value in document["lost"].items()}),
            int(document["distinct_stacks"]),
            _optional_int(document.get("complete_stacks")),
            first.ended,
            first.map_count_end,
            tuple(children),
        )
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise BadCapture(f"{name}: damaged recording: {type(error).__name__}: {error}") from error


def _process_of(one: dict[str, Any], stacks: list[Stack]) -> OneProcess:
    return OneProcess(
        int(one["pid"]),
        str(one["comm"]),
        int(one["map_count"]),
        tuple(_maker_of(maker, stacks) for maker in one["makers"]),
        None if (ended := one["ended_seconds_later"]) is None else float(ended),
        _optional_int(one["map_count_end"]),
    )


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _stack_of(stack: dict[str, Any]) -> Stack:
    frames = tuple(
        Frame(
            _optional_text(frame["function"]),
            _optional_text(frame["module"]),
            int(frame["offset"]),
            _optional_text(frame["source"]),
            _optional_text(frame["build_id"]),
        )
        for frame in stack["frames"]
    )
    return Stack(frames, Ending(stack["ending"]))


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _maker_of(maker: dict[str, Any], stacks: list[Stack]) -> Maker:
    number = _optional_int(maker["stack"])
    if number is not None and not 0 <= number < len(stacks):
        raise ValueError(f"no stack {number}")
    return Maker(
        _optional_text(maker["reason"]),
        None if maker["kind"] is None else Kind[str(maker["kind"]).upper()],
        Origin[str(maker["origin"]).upper()],
        _optional_text(maker["call"]),
        Stack((), Ending.MISSING) if number is None else stacks[number],
        int(maker["vmas"]),
        int(maker["doubtful"]),
        float(maker["over_seconds"]),
    )
