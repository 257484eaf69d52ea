# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The effective configuration, written as YAML that loads to the same."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from vmad.config.schema import Config, ListOf, ListOfSections, Node, Scalar, Section


def settings(config: Config) -> dict[str, Any]:
    """Every key with its value as it would stand in a file (text, number, list, mapping)."""
    return _section(config)


def describe(config: Config) -> str:
    """YAML of every key; patterns of a rule that are not given are left out."""
    import yaml  # noqa: PLC0415  36 ms

    text: str = yaml.safe_dump(
        settings(config), sort_keys=False, allow_unicode=True, default_flow_style=False, width=96
    )
    return text


def _section(section: Any) -> dict[str, Any]:
    return {
        field.name: _plain(value, field.metadata["node"])
        for field in fields(section)
        if (value := getattr(section, field.name)) is not None
    }


def _plain(value: Any, node: Node) -> Any:
    match node:
        case Scalar(form):
            return form.write(value)
        case ListOf(form):
            return [form.write(item) for item in value]
        case Section():
            return _section(value)
        case ListOfSections():
            return [_section(item) for item in value]
