# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the doctor finds, and what follows from it in one line. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time that a way of reading takes. ``here`` was measured just now on VMAs of our own,
    ``elsewhere`` on two small cores of a virtual machine with a process of 60,000 VMAs.
    """

    unit: str  #: "ns per VMA", "µs per process"
    here: float | None
    elsewhere: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One way to learn something: whether it works here, and for whom.

    ``works`` is None where that could not be found out. ``of`` processes were tried, ``reached``
    of them were readable; both None where that is no question.
    """

    name: str
    gives: str
    works: bool | None
    detail: str
    remedy: str | None = None
    reached: int | None = None
    of: int | None = None
    cost: Cost | None = None

    @property
    def partial(self) -> bool:
        """It works, but not for everybody."""
        return bool(self.works) and self.reached != self.of


@dataclass(frozen=True, slots=True)
class Setting:
    """Something of the machine that decides what can be had; ``matters`` says in which way."""

    name: str
    value: str
    matters: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The first line. ``exact``: verdicts from the kernel; ``everybody``: some evidence works for
    every process.
    """

    text: str
    exact: bool
    everybody: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. ``target`` names the guest that was examined; None: this machine."""

    conclusion: Conclusion
    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...]
    hidden: tuple[str, ...]  #: processes that no evidence shows, as text
    target: str | None = None


def conclude(
    kernel: Finding, maps: Finding, hidden: tuple[str, ...] = (), root: bool = False
) -> Conclusion:
    """What follows. ``kernel`` is the best walk, ``maps`` the maps of all processes."""
    if kernel.works:
        text = "Kernel evidence works: exact verdicts for every process"
        if hidden:
            text += f" but {', '.join(hidden)}, which this kernel does not show to BPF"
        return Conclusion(f"{text}.", True, True)
    remedy = _sentence(kernel.remedy, root)
    if not maps.works or not maps.reached:
        return Conclusion(f"No evidence can be had here. {remedy}", False, False)
    whom = "every process"
    if maps.partial:
        whom = f"{maps.reached:,} of {maps.of:,} processes"
        if maps.remedy is None:
            whom += " (the others are closed whatever the rights)"
    text = f"Only procfs evidence works, for {whom}: some pairs stay unknown. "
    return Conclusion(text + remedy, False, maps.remedy is None)


def _sentence(remedy: str | None, root: bool) -> str:
    sudo = "" if root else " (try sudo)"
    return f"For exact verdicts: {remedy or 'see below'}{sudo}."
