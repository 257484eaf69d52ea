# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What one run of a workload left: samples, two judgements, counts. Its JSON is vmad.compare/1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """The workload's processes at a time (seconds from exec on)."""

    seconds: float
    vmas: int  #: of the process that has most
    all_vmas: int
    processes: int


class PairCount(NamedTuple):
    """How many pairs came to a verdict for a decisive reason, under one of the rules."""

    rules: str
    verdict: str
    reason: str
    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """The judgement of one process; ``recoverable`` by rules, None where it is not known."""

    seconds: float
    pid: int
    comm: str
    vmas: int
    pairs: tuple[PairCount, ...]
    recoverable: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Order:
    """What the guest is asked to run; ``tree`` is laid over its own files."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    tree: str | None

    def to_json(self) -> str:
        """One word of the guest's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """What ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(tuple(fields["argv"]), fields["environment"], fields["tree"])


@dataclass(frozen=True, slots=True)
class Record:
    """One run as its guest tells it.

    ``peak`` is the judgement at the highest count, ``end`` the last one: ``end_is_exact`` if the
    workload waited for it. ``calls`` are system calls by name, ``attempts`` the guest's attempts to
    merge by ``OUTCOME REASON``.
    """

    release: str
    evidence: str
    sampled_by: str
    status: int
    run_seconds: float
    samples: tuple[Sample, ...]
    peak: Look | None
    end: Look | None
    end_is_exact: bool
    calls: Mapping[str, int]
    attempts: Mapping[str, int]

    def to_json(self) -> str:
        """The document that the guest prints."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes | str) -> Record:
        """What ``to_json`` wrote."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **fields,
                "samples": tuple(Sample(*sample) for sample in fields["samples"]),
                "peak": _look(fields["peak"]),
                "end": _look(fields["end"]),
            }
        )

    @property
    def highest(self) -> int:
        """The most VMAs that one process was seen with; 0 without a sample."""
        return max((sample.vmas for sample in self.samples), default=0)


@dataclass(frozen=True, slots=True)
class Run:
    """A record with where it was made: ``number`` counts the runs of a kernel from 0."""

    kernel: str
    number: int
    record: Record
    said: str = ""  #: the end of what the workload printed
    host_load: float = 0.0  #: over the last minute, when it ended

    def as_dict(self) -> dict[str, Any]:
        """As one of the ``runs`` of the document."""
        return {
            "kernel": self.kernel,
            "run": self.number,
            **asdict(self.record),
            "said": self.said,
            "host_load": self.host_load,
        }


def _look(fields: Mapping[str, Any] | None) -> Look | None:
    if fields is None:
        return None
    return Look(**{**fields, "pairs": tuple(PairCount(*pair) for pair in fields["pairs"])})
