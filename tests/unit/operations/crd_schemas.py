# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What of the Prometheus operator's objects we may use: the names of its API (monitoring/v1).

The validator knows Kubernetes' own kinds alone. Unknown names are refused, as the operator's own
definitions do with strict field validation.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d))+$"}


def _mapping(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _kind(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _mapping(
        {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "kind": {"const": kind},
            "metadata": _mapping({"name": _TEXT, "namespace": _TEXT, "labels": _TEXTS}, "name"),
            "spec": spec,
        },
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    )


_RELABELING = _mapping(
    {
        "sourceLabels": {"type": "array", "items": _TEXT},
        "separator": _TEXT,
        "targetLabel": _TEXT,
        "regex": _TEXT,
        "replacement": _TEXT,
        "action": _TEXT,
    }
)
_ENDPOINT = _mapping(
    {
        "port": _TEXT,
        "path": _TEXT,
        "scheme": {"enum": ["http", "https"]},
        "interval": _DURATION,
        "scrapeTimeout": _DURATION,
        "honorLabels": {"type": "boolean"},
        "relabelings": {"type": "array", "items": _RELABELING},
        "metricRelabelings": {"type": "array", "items": _RELABELING},
    },
    "port",
)
_RULE = _mapping(
    {
        "alert": _TEXT,
        "record": _TEXT,
        "expr": _TEXT,
        "for": _DURATION,
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "expr",
)
_GROUP = _mapping(
    {"name": _TEXT, "interval": _DURATION, "rules": {"type": "array", "items": _RULE}}, "name"
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "PodMonitor": _kind(
        "PodMonitor",
        _mapping(
            {
                "jobLabel": _TEXT,
                "selector": _mapping({"matchLabels": _TEXTS}),
                "sampleLimit": {"type": "integer"},
                "podMetricsEndpoints": {"type": "array", "items": _ENDPOINT},
            },
            "selector",
            "podMetricsEndpoints",
        ),
    ),
    "PrometheusRule": _kind(
        "PrometheusRule", _mapping({"groups": {"type": "array", "items": _GROUP}}, "groups")
    ),
}
