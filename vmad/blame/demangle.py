# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""C++ and Rust names as they were written, by binutils' c++filt where it is installed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace

from vmad.blame.stack import Frame, Stack

_MANGLED = ("_Z", "_R", "__Z")


def demangled(stacks: Mapping[int, Stack]) -> dict[int, Stack]:
    """The same stacks with the names of their functions demangled."""
    names = {
        frame.function
        for stack in stacks.values()
        for frame in stack.frames
        if frame.function is not None and frame.function.startswith(_MANGLED)
    }
    plain = names_demangled(sorted(names))
    if not plain:
        return dict(stacks)
    return {
        key: Stack(tuple(_plain(frame, plain) for frame in stack.frames), stack.ending)
        for key, stack in stacks.items()
    }


def names_demangled(names: Iterable[str]) -> dict[str, str]:
    """Mangled name -> what it means; those that mean nothing are left out."""
    on_one_line = [name for name in names if "\n" not in name]
    if not on_one_line:
        return {}
    try:
        run = subprocess.run(
            ["c++filt"],
            input="\n".join(on_one_line) + "\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    answers = run.stdout.splitlines()
    if len(answers) != len(on_one_line):
        return {}
    return {name: text for name, text in zip(on_one_line, answers, strict=True) if name != text}


def _plain(frame: Frame, plain: Mapping[str, str]) -> Frame:
    name = plain.get(frame.function) if frame.function is not None else None
    return frame if name is None else replace(frame, function=name)
