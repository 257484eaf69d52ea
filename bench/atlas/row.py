# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One row of the atlas: a program, a load, and how it is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "atlas"
LOADS = HERE / "loads"


class Needs(StrEnum):
    """Where a program comes from."""

    MACHINE = "what set-up installs"
    DEBIAN = "Debian packages, unpacked"
    PYPI = "PyPI"
    NPM = "npm"
    JDK = "a JDK on this machine"
    NODE = "Node on this machine"


@dataclass(frozen=True)
class Row:
    """``argv`` may name {build}, {loads}, {root} (of unpacked packages), {here} (a directory).

    It prints READY when its load stands, unless ``ready`` finds out; it ends with its standard
    input. ``also`` is fetched beside ``needs``. ``group`` is the heading of the
    page. ``version`` is a command that tells it.
    """

    name: str
    group: str
    program: str
    load: str
    argv: tuple[str, ...]
    needs: Needs = Needs.MACHINE
    env: dict[str, str] = field(default_factory=dict)
    ready: Callable[[int, Path], None] | None = None
    version: tuple[str, ...] = ()
    note: str = ""
    seconds: float = 120.0
    also: Needs | None = None
