# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Limits of the control groups that a process is in, up to the root: memory and pids, v1 and v2.

Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, pids.rst; cgroups(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vmad.model.identity import label_safe
from vmad.model.other_limits import GroupUse

#: v1 keeps "no limit" as the largest number of pages (PAGE_COUNTER_MAX)
_UNLIMITED_FROM = 1 << 62
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Files:
    limit: str
    used: str
    events: str
    event: str


_V2 = {
    "memory": _Files("memory.max", "memory.current", "memory.events", "oom"),
    "pids": _Files("pids.max", "pids.current", "pids.events", "max"),
}
_V1 = {
    "memory": _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.failcnt", ""),
    "pids": _V2["pids"],
}


def read_group_use(pid: int, proc: str = "/proc") -> tuple[GroupUse, ...]:
    """Innermost first; what is not mounted here, or lies outside of this namespace, is absent."""
    uses: list[GroupUse] = []
    mounts = controller_mounts(proc)
    for controllers, path in _memberships(pid, proc):
        for controller, files in (_V1 if controllers else _V2).items():
            if controllers and controller not in controllers:
                continue
            mount = mounts.get(controller if controllers else "")
            if mount is not None:
                uses += _upwards(controller, files, path, *mount)
    return tuple(uses)


def _memberships(pid: int, proc: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(controllers, path); none of them for the one hierarchy of v2."""
    for line in _lines(f"{proc}/{pid}/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        yield tuple(filter(None, controllers.split(","))), path.removesuffix(" (deleted)")


def controller_mounts(proc: str) -> dict[str, tuple[str, str]]:
    """Controller ("" for v2) -> (where it is mounted, which group is mounted there)."""
    mounts: dict[str, tuple[str, str]] = {}
    for line in _lines(f"{proc}/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        words = before.split(" ")
        if kind not in ("cgroup", "cgroup2") or len(words) < 5:
            continue
        place = _unescaped(words[4]), _unescaped(words[3])
        if kind == "cgroup2":
            mounts.setdefault("", place)
        for option in options.split(","):
            if kind == "cgroup" and option in _V1:
                mounts.setdefault(option, place)
    return mounts


def _upwards(
    controller: str, files: _Files, path: str, mounted: str, root: str
) -> Iterator[GroupUse]:
    if ".." in path.split("/"):
        return  # seen from a namespace that does not hold it
    inside = path.removeprefix(root) if root != "/" else path
    steps = [step for step in inside.split("/") if step]
    for depth in range(len(steps), -1, -1):
        place = os.path.join(mounted, *steps[:depth])
        limit_file = os.path.join(place, files.limit)
        text = _text(limit_file)
        if text is None:  # the root of v2 has none, nor has a group without this controller
            continue
        limit = None if text == "max" else int(text)
        yield GroupUse(
            controller,
            label_safe("/" + "/".join(steps[:depth])),
            limit_file,
            _number(os.path.join(place, files.used)),
            None if limit is not None and limit >= _UNLIMITED_FROM else limit,
            _hits(place, files),
        )


def _hits(place: str, files: _Files) -> int | None:
    path = os.path.join(place, files.events)
    if not files.event:
        return _number(path)
    for line in _lines(path):
        name, _, number = line.partition(" ")
        if name == files.event and number.isdigit():
            return int(number)
    return None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _lines(path: str) -> list[str]:
    return (_text(path) or "").splitlines()


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdigit() else None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return None
