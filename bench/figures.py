# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One figure: what was asked, what was reached, and how it was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.ratios import Spread

Relation = Literal["<=", "<", ">="]


@dataclass(frozen=True, slots=True)
class Asked:
    """``reached`` must stand in ``relation`` to ``bound``; ``aim`` is better still."""

    relation: Relation
    bound: float
    aim: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether ``value`` is good enough."""
        if self.relation == "<=":
            return value <= self.bound
        return value < self.bound if self.relation == "<" else value >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table.

    ``reached`` is None where it could not be measured; ``note`` then says why. ``unit`` is "" for
    a ratio. ``asked`` is None for what is shown for information only. ``extra`` holds the
    numbers behind it: names carry their units.
    """

    name: str
    title: str
    unit: str
    asked: Asked | None
    reached: Spread | None
    method: str
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool | None:
        """Whether it is good enough; None where nothing was asked."""
        if self.asked is None:
            return None
        return self.reached is not None and self.asked.met_by(self.reached.median)

    def to_json(self) -> dict[str, Any]:
        """As in results/PROCESSOR.json."""
        return {**asdict(self), "ok": self.ok}


def figure_from_json(found: dict[str, Any]) -> Figure:
    """What :meth:`Figure.to_json` gave."""
    fields = {key: value for key, value in found.items() if key != "ok"}
    fields["asked"] = None if found["asked"] is None else Asked(**found["asked"])
    fields["reached"] = None if found["reached"] is None else Spread(**found["reached"])
    return Figure(**fields)
