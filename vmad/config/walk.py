# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turns YAML nodes into the configuration, and collects every problem with its line."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import yaml

from vmad.config.schema import Config, ListOf, ListOfSections, Node, Scalar, Section
from vmad.config.values import Form
from vmad.model.identity import label_safe

_NULL = "tag:yaml.org,2002:null"
_PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")
)


class Problem(NamedTuple):
    """Something that is wrong with a file; ``line`` counts from 1, None for the whole file."""

    line: int | None
    text: str


class _Refused(Exception):
    """Already noted: the value cannot be had."""


def quoted(text: str) -> str:
    """A scalar as a message shows it: one line, not too long."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return f'"{label_safe(short)}"'


class Walk:
    """One walk over one document. Its depth is the schema's, so aliases cannot make it long."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def config(self, root: yaml.Node | None) -> Config:
        """What the document says; a default wherever a problem was noted."""
        if root is None:
            return Config()
        try:
            result: Config = self._section(root, Config, "")
        except _Refused:
            return Config()
        return result

    def _note(self, node: yaml.Node, text: str) -> None:
        self.problems.append(Problem(node.start_mark.line + 1, text))

    def _refuse(self, node: yaml.Node, where: str, allowed: str, detail: str = "") -> _Refused:
        more = f" ({label_safe(detail)})" if detail else ""
        name = where or "the file"
        self._note(node, f"{name}: found {_found(node)}, allowed: {allowed}{more}")
        return _Refused()

    def _value(self, node: yaml.Node, shape: Node, where: str) -> Any:
        match shape:
            case Scalar(form):
                return self._scalar(node, form, where)
            case ListOf(form, most, least):
                return self._list(node, form, range(least, most + 1), where)
            case Section(cls):
                return self._section(node, cls, where)
            case ListOfSections(cls):
                return self._sections(node, cls, where)

    def _scalar(self, node: yaml.Node, form: Form[Any], where: str) -> Any:
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN_TAGS or _empty(node):
            raise self._refuse(node, where, form.allowed)
        try:
            return form.read(node.value)
        except ValueError as error:
            raise self._refuse(node, where, form.allowed, str(error)) from error

    def _list(self, node: yaml.Node, form: Form[Any], number: range, where: str) -> tuple[Any, ...]:
        if _empty(node) and 0 in number:
            return ()
        if isinstance(node, yaml.ScalarNode):
            return (self._scalar(node, form, where),)
        if not isinstance(node, yaml.SequenceNode) or len(node.value) not in number:
            raise self._refuse(node, where, f"{number[0]} to {number[-1]} times {form.allowed}")
        values = []
        for index, item in enumerate(node.value):
            value = self._scalar(item, form, f"{where}[{index}]")
            if value in values:
                self._note(item, f"{where}: {quoted(str(value))} is there twice")
            values.append(value)
        return tuple(values)

    def _sections(self, node: yaml.Node, cls: type[Any], where: str) -> tuple[Any, ...]:
        if _empty(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            keys = ", ".join(field.name for field in fields(cls))
            raise self._refuse(node, where, f"a list of mappings with {keys}")
        values = []
        for number, item in enumerate(node.value):
            try:
                values.append(self._section(item, cls, f"{where}[{number}]"))
            except _Refused:
                continue
        return tuple(values)

    def _section(self, node: yaml.Node, cls: type[Any], where: str) -> Any:
        shapes = {field.name: field for field in fields(cls)}
        before = len(self.problems)
        nodes: dict[str, yaml.Node] = {}
        if isinstance(node, yaml.MappingNode):
            nodes = self._keys(node, list(shapes), where)
        elif not _empty(node):  # a section whose keys are all commented out is empty
            raise self._refuse(node, where, f"a mapping with {', '.join(shapes)}")
        values: dict[str, Any] = {}
        for name, item in nodes.items():
            try:
                values[name] = self._value(
                    item, shapes[name].metadata["node"], f"{where}.{name}" if where else name
                )
            except _Refused:
                continue
        for name, field in shapes.items():
            if field.default is MISSING and name not in nodes:
                self._note(node, f'{where}: the key "{name}" is missing')
        if len(self.problems) > before and any(f.default is MISSING for f in shapes.values()):
            raise _Refused
        result = cls(**values)
        if len(self.problems) == before and hasattr(result, "contradiction"):
            wrong = result.contradiction()
            if wrong is not None:
                place = f"{where}.{wrong[0]}" if where else wrong[0]
                self._note(nodes.get(wrong[0], node), f"{place} {wrong[1]}")
        return result

    def _keys(self, node: yaml.MappingNode, allowed: list[str], where: str) -> dict[str, yaml.Node]:
        nodes: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        place = f'in "{where}"' if where else "at the top level"
        for name_node, value in node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else None
            if name in lines:
                self._note(
                    name_node, f"key {quoted(name)} {place} repeats that of line {lines[name]}"
                )
            elif name in allowed:
                nodes[name] = value
                lines[name] = name_node.start_mark.line + 1
            else:
                shown = quoted(name) if name is not None else _found(name_node)
                hint = _hint(name, allowed)
                self._note(
                    name_node,
                    f"unknown key {shown} {place} (allowed: {', '.join(allowed)}{hint})",
                )
        return nodes


def _hint(name: str | None, allowed: list[str]) -> str:
    if name is None:
        return ""
    if name == "<<":
        return "; merge keys are not read, write the keys out"
    from difflib import get_close_matches  # noqa: PLC0415  only where there is a mistake

    near = get_close_matches(name[:60], allowed, 1)
    if near:
        return f'; did you mean "{near[0]}"?'
    for section in fields(Config):
        node = section.metadata["node"]
        if isinstance(node, Section) and name in (field.name for field in fields(node.shape)):
            return f'; did you mean "{section.name}.{name}"?'
    return ""


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}" if node.value else "an empty list"
    if _empty(node):
        return "nothing"
    shown = quoted(str(node.value))
    return shown if node.tag in _PLAIN_TAGS else f"{shown} with the tag {quoted(node.tag)}"
