# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A metric family with its samples, and its text in the two formats that Prometheus reads.

Text format 0.0.4 (Prometheus, "Exposition formats") and OpenMetrics 1.0, of what vmad has: gauges,
counters and infos, without time stamps. The bytes are those of prometheus_client, which tests hold
against these; it is not imported, since a web server, e-mail and TLS come with it (4 MB).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

#: behind an OpenMetrics text (OpenMetrics 1.0)
END = b"# EOF\n"


class Sample(NamedTuple):
    """One series: name, value by label, value."""

    name: str
    labels: dict[str, str]
    value: float


class Family:
    """A name without the suffix that its type gives to samples, and the samples.

    ``unit`` is the last word of the name, or empty.
    """

    __slots__ = ("documentation", "name", "samples", "type", "unit")

    def __init__(self, name: str, type_: str, documentation: str, unit: str = "") -> None:
        self.type = type_
        self.name = name.removesuffix(SUFFIXES[type_])
        self.documentation = documentation
        self.unit = unit
        self.samples: list[Sample] = []

    def add(self, labels: dict[str, str], value: float) -> None:
        """One sample more."""
        self.samples.append(Sample(self.name + SUFFIXES[self.type], labels, value))

    def text(self, openmetrics: bool) -> str:
        """Its lines."""
        name, type_ = self.name, self.type
        help_ = self.documentation.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            help_ = help_.replace('"', r"\"")
        else:
            name += SUFFIXES[type_]
            type_ = "gauge" if type_ == "info" else type_
        lines = [f"# HELP {name} {help_}\n# TYPE {name} {type_}\n"]
        if openmetrics and self.unit:
            lines.append(f"# UNIT {name} {self.unit}\n")
        lines += map(_line, self.samples)
        return "".join(lines)


#: by type, what the name of its samples has more than that of the family
SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}


def text_of(families: Iterable[Family], openmetrics: bool) -> bytes:
    """Text format 0.0.4, or OpenMetrics 1.0 without its end."""
    return "".join(family.text(openmetrics) for family in families).encode()


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(sample.labels[name])}"' for name in sorted(sample.labels))
    braced = f"{{{labels}}}" if labels else ""
    return f"{sample.name}{braced} {_number(sample.value)}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """As Go writes a 64-bit float: exponents from 1e6 on."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    dot = text.find(".")
    if value > 0 and dot > 6:
        digits = (text[0] + "." + text[1:dot] + text[dot + 1 :]).rstrip("0.")
        return f"{digits}e+{dot - 1:02d}"
    return text
