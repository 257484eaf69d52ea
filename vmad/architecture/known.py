# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The architectures that vmad knows, and what is said of any other."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64
from vmad.errors import VmadError

if TYPE_CHECKING:
    from vmad.architecture.borrowing import Borrowing

ARCHITECTURES = (X86_64, AARCH64)
#: other machines that uname(2) may name for one of them: what 32-bit programs are told
_ALSO_CALLED = {"i686": "x86_64", "armv8l": "aarch64"}


class UnknownArchitecture(VmadError):
    """This needs numbers or layouts that are not known of a machine."""


def architecture_of(machine: str) -> Architecture | None:
    """The architecture that ``uname -m`` names so; None where it is not known here."""
    name = _ALSO_CALLED.get(machine, machine)
    return next((known for known in ARCHITECTURES if known.machine == name), None)


def running() -> Architecture | None:
    """That of this machine; None where it is not known."""
    return architecture_of(os.uname().machine)


def needed(machine: str, what: str, among: Iterable[Architecture] = ARCHITECTURES) -> Architecture:
    """That of a machine, for something that does not work without. Raises UnknownArchitecture.

    ``what`` begins the sentence: "probing"; ``among`` are those that it works on.
    """
    architecture = architecture_of(machine)
    can = tuple(among)
    if architecture is None or architecture not in can:
        titles = " and ".join(known.title for known in can)
        raise UnknownArchitecture(
            f"{what} works on {titles}, this is {machine}",
            "reading (scan, explain, serve, capture) works there",
        )
    return architecture


def borrowing_here() -> Borrowing:
    """How threads are borrowed on this machine. Raises UnknownArchitecture where they are not."""
    lending = [architecture for architecture in ARCHITECTURES if architecture.borrowing]
    borrowing = needed(os.uname().machine, "tracing", lending).borrowing
    assert borrowing is not None
    return borrowing
