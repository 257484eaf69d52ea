# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads the files that set sysctls at boot, those of the host even from within a container."""

from __future__ import annotations

import os

from vmad.rules.limit_origin import SYSCTL_CONF, BootSettings, SysctlFile

#: highest precedence first: a file hides those of the same name in later ones (sysctl.d(5))
DIRECTORIES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
#: inode number of the first pid namespace (include/linux/proc_ns.h, PROC_PID_INIT_INO)
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
#: what container runtimes leave in the file system that they make
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_MOST_LINKS = 8


def read_boot_settings(proc: str = "/proc", root: str | None = None) -> BootSettings | None:
    """None where the host's files cannot be seen from here.

    ``root`` is where the host's files are; found out by default.
    """
    if root is None:
        root = _root_of_host(proc)
    if root is None:
        return None
    files = [_read(root, path) for path in _in_order(root)]
    return BootSettings(
        tuple(file for file in files if file is not None),
        _read(root, SYSCTL_CONF),
        _text(f"{proc}/cmdline") or "",
    )


def _root_of_host(proc: str) -> str | None:
    try:
        if os.stat(f"{proc}/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
            return None
        theirs, ours = os.stat(f"{proc}/1/root"), os.stat("/")
    except OSError:  # takes CAP_SYS_PTRACE
        return None if any(map(os.path.exists, _CONTAINER_MARKS)) else ""
    same = (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
    return "" if same else f"{proc}/1/root"


def _in_order(root: str) -> list[str]:
    by_name: dict[str, str] = {}
    for directory in DIRECTORIES:
        try:
            names = os.listdir(root + directory)
        except OSError:
            continue
        for name in names:
            if name.endswith(".conf"):
                by_name.setdefault(name, f"{directory}/{name}")
    return [by_name[name] for name in sorted(by_name, key=os.fsencode)]


def _read(root: str, path: str) -> SysctlFile | None:
    """A link to /dev/null, which hides a file of that name, reads as empty."""
    place = path
    for _ in range(_MOST_LINKS):  # absolute links are those of the host
        try:
            target = os.readlink(root + place)
        except OSError:
            break
        place = os.path.normpath(os.path.join(os.path.dirname(place), target))
    if place == "/dev/null":
        return SysctlFile(path, "")
    text = _text(root + place)
    return None if text is None else SysctlFile(path, text)


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
