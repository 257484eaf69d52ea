# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The system calls that the service's unit allows, and a prefix of programs that allows no others.

systemd.exec(5), SystemCallFilter=: the first line says whether it lists what is allowed, each later
one adds to it or, with "~", takes away. The groups are those of the systemd that is here.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.other_users import python

_ROOT = Path(__file__).parents[1]
UNIT = _ROOT / "systemd" / "vmad.service"
_KEY = "SystemCallFilter="


def members(name: str) -> set[str]:
    """The system calls of a group ("@process"), or the one of that name."""
    if not name.startswith("@"):
        return {name}
    asked = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    words = (line.strip() for line in shown.splitlines()[1:])
    return {call for word in words if word and word[0] != "#" for call in members(word)}


def allowed_calls() -> set[str]:
    """By name."""
    allowed: set[str] = set()
    for line in UNIT.read_text().splitlines():
        if line.startswith(_KEY):
            words = line.removeprefix(_KEY)
            calls = {call for word in words.removeprefix("~").split() for call in members(word)}
            allowed = allowed - calls if words.startswith("~") else allowed | calls
    return allowed


def under_the_filter(directory: Path) -> list[str]:
    """The prefix of a program in Python, whose user may read ``directory``, where files are put."""
    program, calls = directory / "filtered.py", directory / "system-calls"
    shutil.copy(Path(__file__).with_name("filtered.py"), program)
    calls.write_text("\n".join(sorted(allowed_calls())))
    for file in (program, calls):
        file.chmod(0o644)
    return [python(), str(program), str(calls)]
