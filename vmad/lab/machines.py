# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which kind of machine a kernel's name means: this one's, unless the name says another."""

from __future__ import annotations

import os

from vmad.architecture.architecture import Architecture
from vmad.architecture.known import ARCHITECTURES, needed


def this_machine() -> Architecture:
    """The architecture of this machine. Raises UnknownArchitecture."""
    return needed(os.uname().machine, "the lab")


def suffix(architecture: Architecture) -> str:
    """What the names of its kernels end in: "" for this machine's, "-arm64"."""
    return "" if architecture is this_machine() else f"-{architecture.debian}"


def architecture_named(kernel: str) -> Architecture:
    """("6.12-arm64-16k", or a whole release): that architecture; without one, this machine's."""
    for known in ARCHITECTURES:
        if known.debian in kernel.split("-"):
            return known
    return this_machine()
