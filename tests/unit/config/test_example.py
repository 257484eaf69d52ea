# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The example file documents every key with its default, and so does the document."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from vmad.config import Config, parse_config
from vmad.config.schema import ListOfSections, Section

EXAMPLE = (files("vmad.config") / "example.yaml").read_bytes()


def keys(shape: type[Any], prefix: str = "") -> list[str]:
    found = []
    for field in fields(shape):
        node = field.metadata["node"]
        if isinstance(node, Section):
            found += keys(node.shape, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
        if isinstance(node, ListOfSections):
            found += keys(node.shape, f"{prefix}{field.name}[].")
    return found


def test_example_loads_to_the_defaults() -> None:
    assert parse_config(EXAMPLE, "example.yaml") == Config()


def test_example_sets_every_key() -> None:
    document = yaml.safe_load(EXAMPLE)
    for dotted in keys(Config):
        if "[]" in dotted:
            continue
        at = document
        for name in dotted.split("."):
            assert name in at, dotted
            at = at[name]


def test_example_comments_every_key() -> None:
    lines = EXAMPLE.decode().split("\n")
    for number, line in enumerate(lines):
        if re.match(r" *[a-z_]+:", line):
            assert lines[number - 1].lstrip().startswith("#"), line


def test_rules_in_the_example_are_rules() -> None:
    text = EXAMPLE.decode()
    shown = [line[4:] for line in text.split("\n") if line.startswith("#   ")]
    rules = "\n".join(shown[shown.index("groups:") :])
    config = parse_config(rules.encode(), "example.yaml")
    assert [rule.name.text for rule in config.groups] == [
        "postgres {unit_1}",
        "pod/{pod}/java",
        "opt/{app}",
    ]


def test_document_names_every_key() -> None:
    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    for dotted in keys(Config):
        assert f"`{dotted}`" in text, dotted
