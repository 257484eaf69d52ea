# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a metric is: its name and labels, what it means, and where its values come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from vmad.model.kinds import KIND_NAMES, Kind
from vmad.model.verdict import PairKey

Type = Literal["gauge", "counter", "info"]
#: what the metrics of a section are of: a group, a host, vmad
Subject = TypeVar("Subject")
#: values by the labels that a metric has beyond those of its section
Labelled = Iterable[tuple[tuple[str, ...], float | None]]
Value = float | Labelled | None


@dataclass(frozen=True, slots=True)
class Metric(Generic[Subject]):
    """One metric family. ``name`` is as it is scraped; ``unit`` is what its values count.

    ``value`` gives that of a subject, None where it is not known: one number, or one by the values
    of the labels that the section has not.
    """

    name: str
    type: Type
    labels: tuple[str, ...]
    unit: str
    value: Callable[[Subject], Value]
    help: str  #: one sentence
    use: str  #: what a person does with it


@dataclass(frozen=True, slots=True)
class Section(Generic[Subject]):
    """Metrics of the same subjects, in the order in which they are exported.

    ``labels`` name a subject: each metric's labels begin with them.
    """

    title: str
    text: str
    labels: tuple[str, ...]
    metrics: tuple[Metric[Subject], ...]


def by_label(values: Mapping[str, float | int | None] | None) -> Labelled | None:
    """A number for each value of one more label."""
    if values is None:
        return None
    return (((label,), value) for label, value in values.items())


def by_kind(kinds: tuple[int, ...] | None) -> Labelled | None:
    """VMAs by their kind, each of which is told."""
    if kinds is None:
        return None
    return (((KIND_NAMES[kind],), kinds[kind]) for kind in Kind)


def that_occur(counts: Mapping[PairKey, int] | None) -> Labelled | None:
    """Those that are not 0, of many combinations of labels."""
    if counts is None:
        return None
    return ((labels, count) for labels, count in counts.items() if count)


def up(sources: Mapping[str, str | None]) -> Iterator[tuple[tuple[str, ...], float]]:
    """1 for what can be had, 0 for what cannot: there is a reason why not."""
    return (((name,), why_not is None) for name, why_not in sources.items())
