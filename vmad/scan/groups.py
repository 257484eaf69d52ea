# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names the group that a process belongs to: the configured rules first, then the default ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from vmad.config.schema import OTHER, GroupRule
from vmad.model.identity import ProcessIdentity, label_safe
from vmad.scan.units import lasting_unit

#: what a rule's name becomes that comes out as the reserved one
_NOT_OTHER = f"group/{OTHER}"
#: identities whose names are remembered, some 500 bytes each
REMEMBERED = 2048


class GroupRules:
    """The rules of one configuration, and the names that they gave lately."""

    def __init__(self, rules: Sequence[GroupRule] = (), default_groups: bool = True) -> None:
        self._rules = [(rule, tuple(rule.match.patterns().items())) for rule in rules]
        self._default_groups = default_groups
        self.needs_exe = any(
            "exe" in dict(patterns) or "exe" in rule.name.placeholders
            for rule, patterns in self._rules
        )
        # thousands of processes share few identities, and a pattern costs microseconds
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._name_of)

    def name_of(self, identity: ProcessIdentity) -> str:
        """The group's name: one line, never empty.

        ``other`` only where no rule matches and the default rules are off.
        """
        return self._remembered(identity)

    def _name_of(self, identity: ProcessIdentity) -> str:
        seen = _fields(identity)
        for rule, patterns in self._rules:
            values = _match(patterns, seen)
            if values is None:
                continue
            name = label_safe(rule.name.render(values) or "").strip()
            if name:
                return _NOT_OTHER if name == OTHER else name
        return default_group(identity) if self._default_groups else OTHER


def default_group(identity: ProcessIdentity) -> str:
    """The group without rules.

    - a systemd unit that lasts: ``nginx.service``, of a user's manager ``user/pipewire.service``
    - else a container: ``container/`` and the first 12 digits of its id, or its name
    - else, also in sessions and other passing scopes: ``comm/`` and the command

    The three cannot collide: a unit's name has no slash, and ``user/`` is no other's prefix.
    """
    cgroup = identity.cgroup
    if cgroup is not None and cgroup.unit is not None:
        unit = lasting_unit(cgroup.unit)
        if unit is not None:
            return f"user/{unit}" if cgroup.user else unit
    if cgroup is not None and cgroup.container is not None:
        return f"container/{_short(cgroup.container)}"
    return f"comm/{label_safe(identity.comm)}"


def _short(container: str) -> str:
    return container[:12] if re.fullmatch(r"[0-9a-f]{64}", container) else container


def _fields(identity: ProcessIdentity) -> dict[str, str | None]:
    cgroup = identity.cgroup
    return {
        "unit": cgroup.unit if cgroup is not None else None,
        "cgroup": cgroup.path if cgroup is not None else None,
        "container": cgroup.container if cgroup is not None else None,
        "pod": cgroup.pod if cgroup is not None else None,
        "comm": identity.comm,
        "exe": identity.exe,
    }


def _match(
    patterns: tuple[tuple[str, re.Pattern[str]], ...], seen: dict[str, str | None]
) -> dict[str, str | None] | None:
    """The placeholders' values where every pattern matches; an unused group is empty."""
    values = dict(seen)
    for what, pattern in patterns:
        text = seen[what]
        match = pattern.fullmatch(text) if text is not None else None
        if match is None:
            return None
        for number, value in enumerate(match.groups(""), start=1):
            values[f"{what}_{number}"] = value
        values.update(match.groupdict(""))
    return values
