# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A mapping of the web configuration (--web.config.file), read key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vmad.errors import BadConfig


class WebMapping:
    """A YAML mapping whose complaints name file and line."""

    def __init__(self, path: str, node: Any, allowed: tuple[str, ...] | None, what: str) -> None:
        import yaml  # noqa: PLC0415 - most hosts have no such file

        self.path, self.line = path, node.start_mark.line + 1
        self._nodes: dict[str, Any] = {}
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(f"{what} must be a mapping")
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or (allowed is not None and key not in allowed):
                raise self.wrong(f"unknown key {key!r} in {what}", allowed, key_node)
            if key in self._nodes:
                raise self.wrong(f"key {key!r} appears twice in {what}", None, key_node)
            self._nodes[key] = value_node
        self.keys = tuple(self._nodes)

    def wrong(
        self, text: str, allowed: tuple[str, ...] | None = None, node: Any = None
    ) -> BadConfig:
        line = self.line if node is None else node.start_mark.line + 1
        remedy = f"allowed: {', '.join(allowed)}" if allowed else None
        return BadConfig(f"{self.path}:{line}: {text}", remedy)

    def wrong_at(self, key: str, text: str) -> BadConfig:
        """A complaint about the value of ``key``."""
        return self.wrong(text, None, self._nodes[key])

    def mapping(self, key: str, allowed: tuple[str, ...] | None) -> WebMapping | None:
        node = self._nodes.get(key)
        if node is None or node.tag.endswith(":null"):
            return None
        return WebMapping(self.path, node, allowed, key)

    def text(self, key: str, pattern: re.Pattern[str] | None = None, says: str = "") -> str | None:
        node = self._nodes.get(key)
        if node is None or node.tag.endswith(":null"):
            return None
        if not isinstance(node.value, str) or (pattern and not pattern.fullmatch(node.value)):
            raise self.wrong(f"{key}: {says or 'must be a text'}", None, node)
        return node.value

    def choice(self, key: str, choices: Mapping[str, Any], default: str) -> Any:
        value = self.text(key) or default
        if value not in choices:
            raise self.wrong(f"{key}: {value!r} is not possible", tuple(choices), self._nodes[key])
        return choices[value]
