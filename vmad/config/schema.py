# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The configuration: every key, its default, and what may stand there."""

# ruff: noqa: RUF009  key() and needed() only make dataclass fields

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from vmad.config.template import FIELDS, NameTemplate
from vmad.config.values import (
    Choice,
    Duration,
    FilePath,
    Form,
    HostName,
    Integer,
    Listen,
    ListenAddress,
    Regex,
    Share,
    Size,
    Switch,
    TargetName,
    Template,
)
from vmad.model.evidence import CHOICES

T = TypeVar("T")

#: the group that everything beyond the cap is folded into; no rule can produce this name
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A key with one value."""

    form: Form[Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A key with a list of values; one alone may stand without its list."""

    form: Form[Any]
    most: int
    least: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping, read into a dataclass."""

    shape: type[Any]


@dataclass(frozen=True, slots=True)
class ListOfSections:
    """A list of mappings, possibly empty."""

    shape: type[Any]


Node = Scalar | ListOf | Section | ListOfSections


def key(default: T, node: Node) -> T:
    """A key that may be left out."""
    made: T = field(default=default, metadata={"node": node})
    return made


def needed(node: Node) -> Any:
    """A key that must be there whenever its mapping is."""
    return field(metadata={"node": node})


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """How the host is read. Durations are seconds."""

    interval: float = key(15.0, Scalar(Duration(1, 3600)))
    full_every: int = key(10, Scalar(Integer(1, 1000)))
    sample_interval: float = key(1.0, Scalar(Duration(0.1, 60, zero_disables=True)))
    keep_marks: float = key(86_400.0, Scalar(Duration(1, 2_678_400)))
    budget: float = key(0.01, Scalar(Share(0.0001)))
    evidence: str = key("auto", Scalar(Choice(CHOICES)))
    deadline: float = key(2.0, Scalar(Duration(0.1, 60)))
    page_budget: int = key(262_144, Scalar(Integer(0, 1 << 30)))
    events: bool = key(True, Scalar(Switch()))
    bursts: str = key("auto", Scalar(Choice(("auto", "always", "off"))))
    failures: str = key("auto", Scalar(Choice(("auto", "always", "off"))))
    merge_attempts: str = key("vmstat", Scalar(Choice(("vmstat", "bpf"))))

    def contradiction(self) -> tuple[str, str] | None:
        """(key, what is wrong) where keys do not go together."""
        if self.sample_interval > self.interval:
            return "sample_interval", "is longer than scan.interval"
        return None


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """How much is exported."""

    top: int = key(10, Scalar(Integer(0, 1000)))
    max_groups: int = key(70, Scalar(Integer(2, 10_000)))


@dataclass(frozen=True, slots=True)
class ThresholdsConfig:
    """What is too much however high the limit is; 0: nothing is."""

    areas: int = key(262_144, Scalar(Integer(0, 2**31 - 1)))
    areas_per_day: int = key(10_000, Scalar(Integer(0, 2**31 - 1)))
    kernel_memory: int = key(256 << 20, Scalar(Size(1 << 50)))


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The HTTP server."""

    listen: tuple[ListenAddress, ...] = key(
        (ListenAddress("127.0.0.1", 19797),), ListOf(Listen(), 16)
    )
    max_connections: int = key(32, Scalar(Integer(1, 1024)))
    timeout: float = key(10.0, Scalar(Duration(1, 300)))
    budget: float = key(0.1, Scalar(Share(0.001)))
    hosts: tuple[str, ...] = key((), ListOf(HostName(), 64, 0))
    anybody: str = key("processes", Scalar(Choice(("metrics", "processes", "addresses"))))


@dataclass(frozen=True, slots=True)
class GroupMatch:
    """What a process must show; every pattern given must match the whole of its text."""

    unit: re.Pattern[str] | None = key(None, Scalar(Regex()))
    cgroup: re.Pattern[str] | None = key(None, Scalar(Regex()))
    container: re.Pattern[str] | None = key(None, Scalar(Regex()))
    comm: re.Pattern[str] | None = key(None, Scalar(Regex()))
    exe: re.Pattern[str] | None = key(None, Scalar(Regex()))

    def patterns(self) -> dict[str, re.Pattern[str]]:
        """The patterns that are given, by what they look at."""
        patterns = {
            "unit": self.unit,
            "cgroup": self.cgroup,
            "container": self.container,
            "comm": self.comm,
            "exe": self.exe,
        }
        return {name: pattern for name, pattern in patterns.items() if pattern is not None}

    def placeholders(self) -> set[str]:
        """What a name may be made of: fields, FIELD_N and named groups of the patterns."""
        names = set(FIELDS)
        for what, pattern in self.patterns().items():
            names.update(f"{what}_{number}" for number in range(1, pattern.groups + 1))
            names.update(pattern.groupindex)
        return names


@dataclass(frozen=True, slots=True)
class GroupRule:
    """One rule: processes that match get this group."""

    match: GroupMatch = needed(Section(GroupMatch))
    name: NameTemplate = needed(Scalar(Template()))

    def contradiction(self) -> tuple[str, str] | None:
        """(key, what is wrong) where keys do not go together."""
        if not self.match.patterns():
            return "match", "asks for nothing; give at least one pattern (comm: .* takes all)"
        taken = [n for p in self.match.patterns().values() for n in p.groupindex]
        for name in taken:
            if name in FIELDS or taken.count(name) > 1:
                return "match", f'names a group "{name}", which is taken; rename it'
        unknown = sorted(self.name.placeholders - self.match.placeholders())
        if unknown:
            known = ", ".join(sorted(self.match.placeholders()))
            return "name", f'has an unknown placeholder "{unknown[0]}" (allowed: {known})'
        if self.name.text == OTHER:
            return "name", f'is "{OTHER}", which is kept for groups beyond export.max_groups'
        return None


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One QEMU guest that is watched beside this host. ``types``: see docs/guests.md."""

    name: str = needed(Scalar(TargetName()))
    qemu: str = needed(Scalar(FilePath()))
    types: str | None = key(None, Scalar(FilePath()))
    consistent: bool = key(False, Scalar(Switch()))


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; ``Config()`` is what runs without a file."""

    scan: ScanConfig = key(ScanConfig(), Section(ScanConfig))
    export: ExportConfig = key(ExportConfig(), Section(ExportConfig))
    thresholds: ThresholdsConfig = key(ThresholdsConfig(), Section(ThresholdsConfig))
    web: WebConfig = key(WebConfig(), Section(WebConfig))
    groups: tuple[GroupRule, ...] = key((), ListOfSections(GroupRule))
    default_groups: bool = key(True, Scalar(Switch()))
    targets: tuple[TargetConfig, ...] = key((), ListOfSections(TargetConfig))

    def contradiction(self) -> tuple[str, str] | None:
        """(key, what is wrong) where keys do not go together."""
        for what in ("name", "qemu"):
            given = [getattr(target, what) for target in self.targets]
            for value in given:
                if given.count(value) > 1:
                    why = ": QMP serves one client" if what == "qemu" else ""
                    return "targets", f'has a {what} "{value}" that is there twice{why}'
        return None
