# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names out of a recording: whose code it is goes, how it gets memory stays.

Functions and files of known allocators, runtimes and of libc stay, and where threads begin; of all
others there are keyed hashes, equal where the names are equal (redaction.py). Lines of source and
build-ids go.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from vmad.blame.blamed import Blamed, Maker
from vmad.blame.known import known_maker
from vmad.blame.stack import Frame, Stack, begins_a_thread
from vmad.sources.redaction import Redaction


def redacted(blamed: Blamed, redaction: Redaction) -> Blamed:
    """The same recording without names that tell whose it is."""
    stacks: dict[Stack, Stack] = {}
    for maker in (maker for one in blamed.everybody for maker in one.makers):
        if maker.stack not in stacks:
            frames = tuple(_frame(frame, redaction) for frame in maker.stack.frames)
            stacks[maker.stack] = Stack(frames, maker.stack.ending)

    def makers(all_of: tuple[Maker, ...]) -> tuple[Maker, ...]:
        return tuple(replace(maker, stack=stacks[maker.stack]) for maker in all_of)

    return replace(
        blamed,
        comm=redaction.comm(blamed.comm),
        makers=makers(blamed.makers),
        children=tuple(
            replace(child, comm=redaction.comm(child.comm), makers=makers(child.makers))
            for child in blamed.children
        ),
    )


def _frame(frame: Frame, redaction: Redaction) -> Frame:
    module, function = frame.module, frame.function
    if known_maker(frame) is not None:
        # its directory may be anybody's
        module = None if module is None else PurePath(module).name
        return Frame(function, module, frame.offset)
    if function is not None and not begins_a_thread(function):
        function = redaction.function(function)
    return Frame(function, None if module is None else redaction.path(module), frame.offset)
