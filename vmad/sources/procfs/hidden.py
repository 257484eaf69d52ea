# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether /proc shows the processes of other users at all: those that it hides are in no count."""

from __future__ import annotations

import os

#: values of the option hidepid that leave processes out (proc(5); names since 5.8, 1c6c4d112e81)
_INVISIBLE = ("2", "4", "invisible", "ptraceable")


def hidepid(proc: str = "/proc") -> str | None:
    """The option hidepid of the mount of ``proc`` (proc(5)); None when it is off."""
    try:
        with open(f"{proc}/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return None
    options = [mount[3] for mount in mounts if mount[1] == os.path.abspath(proc)]
    for option in options[-1].split(",") if options else ():
        name, _, value = option.partition("=")
        if name == "hidepid" and value not in ("", "0", "off"):
            return value
    return None


def hidden_processes(proc: str = "/proc") -> str | None:
    """Why there are processes that cannot even be seen, with the remedy; None: all are seen."""
    if os.path.isdir(f"{proc}/1"):  # which is nearly always somebody else's
        return None
    value = hidepid(proc)
    if value not in _INVISIBLE:
        return None
    return (
        f"processes of other users are hidden (/proc is mounted with hidepid={value}); needs "
        "CAP_SYS_PTRACE, or the group of its option gid"
    )
