# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kinds of evidence, each with all that is said of it: a new one is added here.

What yields it is a source (``sources/``) or, for ``probe``, a program of its own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args


class Evidence(StrEnum):
    """How facts were got; the value is what JSON and labels have.

    ``sees`` says of what a text tells where it comes from, ``short`` the same in a few words.
    """

    sees: str
    short: str

    def __new__(cls, value: str, sees: str = "", short: str = "") -> Evidence:
        """A member with its texts."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sees, member.short = sees, short
        return member

    KERNEL = (
        "kernel",
        "exact, read from the kernel's own structures",
        "exact, from the kernel by BPF",
    )
    PROCFS = (
        "procfs",
        "only what /proc shows; what it cannot see is counted as unknown",
        "what /proc shows",
    )
    PROBE = ("probe", "the kernel was made to try", "what the kernel did when asked")

    @property
    def text(self) -> str:
        """("procfs: only what /proc shows …")."""
        return f"{self.value}: {self.sees}"


#: what a person may ask for: the best that works, or one that sources yield
EvidenceChoice = Literal["auto", "kernel", "procfs"]
CHOICES: tuple[EvidenceChoice, ...] = get_args(EvidenceChoice)
