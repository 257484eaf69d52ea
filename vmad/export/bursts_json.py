# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bursts that are over as JSON: schema vmad.bursts/1, and a part of vmad.scan/1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vmad.export.printable import utf8
from vmad.scan.bursts import Burst

SCHEMA = "vmad.bursts/1"


def bursts_list(bursts: Iterable[Burst]) -> list[dict[str, Any]]:
    """The last one first. ``high_water_at`` is in Unix seconds; no process, no map_count_max."""
    return [
        {
            "group": utf8(burst.group),
            "high_water": burst.high_water,
            "high_water_at": round(burst.at, 3),
            "processes": burst.processes,
            **({} if burst.map_count_max is None else {"map_count_max": burst.map_count_max}),
        }
        for burst in bursts
    ]


def bursts_document(bursts: Iterable[Burst]) -> dict[str, Any]:
    """The whole answer."""
    return {"schema": SCHEMA, "bursts": bursts_list(bursts)}


def bursts_from(document: Mapping[str, Any]) -> list[Burst]:
    """What bursts_document() made into text. Raises KeyError, TypeError, ValueError."""
    return [
        Burst(
            str(burst["group"]),
            int(burst["high_water"]),
            float(burst["high_water_at"]),
            burst.get("map_count_max"),
            int(burst["processes"]),
        )
        for burst in document["bursts"]
    ]
