# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What gives a program away: names of mapped files, of its own file, of areas, in its ELF file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Where(StrEnum):
    """What the expression is held against; the value says it to a person."""

    FILE = "maps"  #: the last part of the name of a mapped file
    PATH = "maps the path"  #: all of that name
    EXE = "runs"  #: the last part of the program's own path
    AREA = "names an area"  #: [anon:NAME], memfds
    SYMBOL = "holds the function"  #: of the program's own ELF file
    SECTION = "has the ELF section"


@dataclass(frozen=True, slots=True)
class Sign:
    """One way to recognise a program. A group of digits in the expression is its version.

    ``symbols`` are the names that a sign of functions is about: they are looked for.
    """

    where: Where
    expression: re.Pattern[str]
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brings:
    """Another program, by its name in the list, that a program consists of, too."""

    name: str


def file(expression: str) -> Sign:
    """By a mapped file: the last part of its name."""
    return Sign(Where.FILE, re.compile(expression))


def path(expression: str) -> Sign:
    """By the whole name of a mapped file."""
    return Sign(Where.PATH, re.compile(expression))


def exe(expression: str) -> Sign:
    """By the last part of the program's own path."""
    return Sign(Where.EXE, re.compile(expression))


def area(expression: str) -> Sign:
    """By the name that it gave anonymous memory."""
    return Sign(Where.AREA, re.compile(expression))


def section(expression: str) -> Sign:
    """By a section of its ELF file."""
    return Sign(Where.SECTION, re.compile(expression))


def symbols(*names: str) -> Sign:
    """By any of these functions."""
    return Sign(Where.SYMBOL, re.compile(f"^(?:{'|'.join(map(re.escape, names))})$"), names)


def brings(name: str) -> Brings:
    """Another program that is there with it."""
    return Brings(name)
