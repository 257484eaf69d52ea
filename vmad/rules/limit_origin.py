# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where the value of vm.max_map_count comes from, by the files that set it at boot. Pure.

The files are read as systemd-sysctl reads them (sysctl.d(5); src/sysctl/sysctl.c of systemd 252).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

KEY = "vm/max_map_count"
#: DEFAULT_MAX_MAP_COUNT of include/linux/mm.h
KERNEL_DEFAULT = 65_530
#: Debian 13 (linux-sysctl-defaults), Ubuntu 24.04, Fedora 39, Arch
DISTRIBUTION_DEFAULT = 1_048_576
#: what packages bring; the rest is the administrator's
_OF_PACKAGES = ("/usr/lib/", "/lib/")
#: read by sysctl --system alone, and after all others; often linked to from /etc/sysctl.d
SYSCTL_CONF = "/etc/sysctl.conf"


class OriginKind(StrEnum):
    """What set the value; the value of each is what JSON says."""

    KERNEL = "kernel default"
    DISTRIBUTION = "distribution default"
    FILE = "file"
    COMMAND_LINE = "kernel command line"
    RUN_TIME = "run time"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SysctlFile:
    """A file of sysctl.d, in the order in which they are applied."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A line that sets the limit. ``value`` is None where it is no number."""

    file: str
    line: int
    value: int | None


@dataclass(frozen=True, slots=True)
class LimitOrigin:
    """What set the present limit. ``by`` is its line in a file, ``others`` those without effect."""

    kind: OriginKind
    by: Assignment | None
    others: tuple[Assignment, ...]
    text: str


@dataclass(frozen=True, slots=True)
class BootSettings:
    """What sets the limit at boot, as far as it can be seen from here."""

    files: tuple[SysctlFile, ...]
    sysctl_conf: SysctlFile | None = None
    command_line: str = ""


def limit_origin(limit: int, settings: BootSettings | None) -> LimitOrigin:
    """Where ``limit`` comes from; without ``settings`` only its value speaks."""
    if settings is None:
        return _by_value(limit)
    every, winner = _of_systemd(settings.files)
    last = _last_of(settings.sysctl_conf)
    if last is not None and not _is_among(last, every):
        every = (*every, last)
    by = next(
        (named for named in (winner, last) if named is not None and named.value == limit),
        None,
    )
    if by is not None:
        others = tuple(setting for setting in every if setting != by)
        kind, text = _of_file(by, others)
        return LimitOrigin(kind, by, others, text)
    if winner is not None and winner.value is not None:
        text = (
            f"set at run time; {winner.file} says {winner.value:,}, which it is again after a boot"
        )
        return LimitOrigin(OriginKind.RUN_TIME, None, every, text)
    if _on_command_line(settings.command_line) == limit:
        text = "set on the kernel's command line"
        return LimitOrigin(OriginKind.COMMAND_LINE, None, every, text)
    if limit == KERNEL_DEFAULT:
        text = (
            "the kernel's default; no file sets it, though some distributions raise it to "
            f"{DISTRIBUTION_DEFAULT:,}"
        )
        return LimitOrigin(OriginKind.KERNEL, None, every, text)
    text = "set at run time; no file says so, and after a boot it is another one"
    return LimitOrigin(OriginKind.RUN_TIME, None, every, text)


def _by_value(limit: int) -> LimitOrigin:
    if limit == KERNEL_DEFAULT:
        text = f"the kernel's default; some distributions raise it to {DISTRIBUTION_DEFAULT:,}"
        return LimitOrigin(OriginKind.KERNEL, None, (), text)
    unseen = "the host's files that may set it are not seen from here"
    if limit == DISTRIBUTION_DEFAULT:
        text = f"as some distributions set it (the kernel's: {KERNEL_DEFAULT:,}); {unseen}"
    else:
        text = f"not the kernel's default of {KERNEL_DEFAULT:,}; {unseen}"
    return LimitOrigin(OriginKind.UNKNOWN, None, (), text)


def _of_file(by: Assignment, others: tuple[Assignment, ...]) -> tuple[OriginKind, str]:
    assert by.value is not None
    packaged = by.file.startswith(_OF_PACKAGES)
    if packaged and by.value == DISTRIBUTION_DEFAULT:
        text = f"the distribution's default, set by {by.file} (the kernel's: {KERNEL_DEFAULT:,})"
        return OriginKind.DISTRIBUTION, text
    text = f"set by {by.file}, line {by.line}" + (" (of a package)" if packaged else "")
    higher = [other for other in others if other.value is not None and other.value > by.value]
    if higher:
        most = max(higher, key=lambda assignment: assignment.value or 0)
        text += f", which lowers it from {most.value:,} ({most.file})"
    elif by.value < KERNEL_DEFAULT:
        text += f", which lowers it from the kernel's {KERNEL_DEFAULT:,}"
    return OriginKind.FILE, text


def _of_systemd(
    files: Sequence[SysctlFile],
) -> tuple[tuple[Assignment, ...], Assignment | None]:
    """Every line that sets the limit, and the one that has the last word.

    A later line for one key replaces an earlier one; a key that is named keeps patterns away, and
    "-key" alone names it without a value.
    """
    every: list[Assignment] = []
    options: dict[str, Assignment | None] = {}
    for file in files:
        for number, raw in enumerate(file.text.splitlines(), 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            name, equals, value = line.partition("=")
            if not equals and not name.startswith("-"):
                continue
            key = _normal(name.strip().removeprefix("-").strip())
            if not _matches(key):
                continue
            assignment = Assignment(file.path, number, _number(value)) if equals else None
            if assignment is not None:
                every.append(assignment)
            options.pop(key, None)
            options[key] = assignment
    if KEY in options:
        return tuple(every), options[KEY]
    return tuple(every), next(
        (option for option in reversed(options.values()) if option is not None), None
    )


def _last_of(file: SysctlFile | None) -> Assignment | None:
    return None if file is None else _of_systemd([file])[1]


def _is_among(assignment: Assignment, others: Sequence[Assignment]) -> bool:
    """Whether it is the same line, under the name of a link."""
    return any(
        other.line == assignment.line and other.value == assignment.value for other in others
    )


def _normal(key: str) -> str:
    """Dots and slashes are exchanged where a dot is the first of them."""
    first = next((char for char in key if char in "./"), "/")
    return key if first == "/" else key.translate(str.maketrans("./", "/."))


def _matches(key: str) -> bool:
    """Whether a key or pattern is the limit; a star stands for no slash (glob(7))."""
    ours, theirs = KEY.split("/"), key.split("/")
    return len(ours) == len(theirs) and all(map(fnmatchcase, ours, theirs))


def _number(text: str) -> int | None:
    try:
        return int(text.strip(), 0)
    except ValueError:
        return None


def _on_command_line(text: str) -> int | None:
    """sysctl.vm.max_map_count=N (5.8 and later: 3db978d480e2)."""
    for word in reversed(text.split()):
        name, equals, value = word.partition("=")
        if equals and name.startswith("sysctl.") and _normal(name[7:]) == KEY:
            return _number(value)
    return None
