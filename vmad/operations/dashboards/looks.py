# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a number looks, the same everywhere: its unit, its thresholds, where a click leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    Threshold,
    ThresholdsMode,
)

RATIO = "percentunit"
VMAS = "locale"  #: whole numbers with the reader's thousands separators
BYTES = "bytes"
PER_SECOND = "suffix:/s"
SECONDS = "s"

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"

Steps = Sequence[tuple[float, str]]
#: of the limit; the upper two are those of VmadNearLimit and VmadAtLimit
RATIO_STEPS: Steps = ((0.5, YELLOW), (0.8, ORANGE), (0.95, RED))
#: any at all is worth a look
ANY_STEPS: Steps = ((1, ORANGE),)
#: seconds to the limit, from the worst: an hour and a day, as the alerts have it
SOON_STEPS: Steps = ((3_600, ORANGE), (86_400, GREEN))

#: explicit anchors of the runbook are the names themselves
RUNBOOK_URL = "${runbook}#"


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a table looks; its name is the label, or what a query is called."""

    title: str
    unit: str | None = None
    steps: Steps | None = None
    link: tuple[str, str] | None = None  #: title and URL
    gauge: bool = False
    decimals: int | None = None
    width: int | None = None

    def properties(self) -> list[tuple[str, Any]]:
        """As overrides of Grafana's field configuration."""
        properties: list[tuple[str, Any]] = [("displayName", self.title)]
        if self.unit is not None:
            properties.append(("unit", self.unit))
        if self.decimals is not None:
            properties.append(("decimals", self.decimals))
        if self.width is not None:
            properties.append(("custom.width", self.width))
        if self.steps is not None:
            built = thresholds(self.steps).build()
            properties.append(("thresholds", built.to_json()))
            cell = {"type": "gauge", "mode": "basic"} if self.gauge else {"type": "color-text"}
            properties.append(("custom.cellOptions", cell))
        if self.gauge:
            properties += [("min", 0), ("max", 1)]
        if self.link is not None:
            title, url = self.link
            properties.append(("links", [{"title": title, "url": url}]))
        return properties


def thresholds(steps: Steps, base: str = GREEN) -> ThresholdsConfig:
    """``base`` below the first step; each step's colour from its value on."""
    all_steps = [Threshold(value=None, color=base)]
    all_steps += [Threshold(value=float(value), color=color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(all_steps)


def link(title: str, url: str) -> DashboardLink:
    """A link of a panel's data, or of a dashboard."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(False)


def dashboard_url(uid: str, variables: Mapping[str, str]) -> str:
    """The URL of another dashboard, with the same source and time."""
    words = ["${datasource:queryparam}", "${runbook:queryparam}", "${__url_time_range}"]
    words += [f"var-{name}={value}" for name, value in variables.items()]
    return f"/d/{uid}?" + "&".join(words)


# percent-encoded: by itself Grafana leaves what has a meaning in a URL (& # + ?) as it is, and a
# group's name may hold any of it
_JOB = {"job": "${__data.fields.job:percentencode}"}
_INSTANCE = _JOB | {"instance": "${__data.fields.instance:percentencode}"}
_GROUP = _INSTANCE | {"group": "${__data.fields.group:percentencode}"}


@dataclass(frozen=True, slots=True)
class Drill:
    """Where a click in a table's row leads."""

    host: tuple[str, str] = field(default=("Host", dashboard_url("vmad-host", _INSTANCE)))
    group: tuple[str, str] = field(default=("Group", dashboard_url("vmad-group", _GROUP)))
    reason: tuple[str, str] = ("Runbook", RUNBOOK_URL + "${__data.fields.reason}")
    alert: tuple[str, str] = ("Runbook", RUNBOOK_URL + "${__data.fields.alertname}")


DRILL = Drill()
#: of a series that has the label reason
REASON_URL = RUNBOOK_URL + "${__field.labels.reason}"
#: columns that look alike wherever they are
INSTANCE = Column("host", link=DRILL.host)
GROUP = Column("group", link=DRILL.group)
REASON = Column("reason", link=DRILL.reason)
