# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the matrix asks of a guest, and what one step answers: values that cross as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

#: seconds after which a step is killed
STEP_LIMIT = 300.0
STEPS = ("scan", "selfcheck", "live", "differential")


@dataclass(frozen=True, slots=True)
class Slice:
    """How much to run: seconds of differential programs and of live tests, paths for pytest.

    ``live_files`` says how many of the paths are drawn by ``seed``.
    """

    differential_seconds: float
    live_seconds: float
    seed: int
    live: tuple[str, ...]
    live_files: int


@dataclass(frozen=True, slots=True)
class Order:
    """The steps of one boot; each is killed after ``limit`` seconds."""

    steps: tuple[str, ...]
    slice: Slice
    limit: float = STEP_LIMIT

    def to_json(self) -> str:
        """One word of the guest's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """What ``to_json`` wrote."""
        fields = json.loads(text)
        part = {**fields["slice"], "live": tuple(fields["slice"]["live"])}
        return cls(tuple(fields["steps"]), Slice(**part), fields["limit"])


@dataclass(frozen=True, slots=True)
class StepResult:
    """``ok`` is None where this kernel has nothing to run; ``detail`` is for after the table."""

    ok: bool | None
    summary: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it ran and did not pass."""
        return self.ok is False

    def to_json(self, **more: str) -> str:
        """One line; ``more`` are fields that go before."""
        return json.dumps({**more, **asdict(self)})

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> StepResult:
        """From the fields of a line, whatever else is in it."""
        ok = fields["ok"]
        return cls(
            None if ok is None else bool(ok),
            str(fields["summary"]),
            str(fields["detail"]),
            float(str(fields["seconds"])),
        )
