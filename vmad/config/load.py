# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Loads a configuration file, or refuses it with every problem's file and line."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from vmad.config.schema import Config
from vmad.errors import BadConfig

if TYPE_CHECKING:
    import yaml

    from vmad.config.walk import Problem

#: bytes; a file larger than this is not a configuration
MAX_SIZE = 1 << 20
#: levels; the schema has four. libyaml's composer recurses in C without a bound of its own, and
#: its scanner takes quadratic time on nested flow collections.
MAX_DEPTH = 16
#: problems that one message lists
MAX_LISTED = 20


class RefusedConfig(BadConfig):
    """Every problem of one file, one line each; the first line stands alone."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        lines = [
            f"{name}: {text}" if line is None else f"{name}:{line}: {text}"
            for line, text in self.problems[:MAX_LISTED]
        ]
        if len(self.problems) > MAX_LISTED:
            lines.append(f"{name}: and {len(self.problems) - MAX_LISTED} more problems")
        super().__init__("\n".join(lines))


def load_config(path: str | os.PathLike[str] | None) -> Config:
    """The configuration in ``path``; the defaults without one.

    Raises RefusedConfig (a BadConfig) for a file that cannot be read or is not a configuration.
    """
    if path is None:
        return Config()
    return parse_config(_read(path), os.fspath(path))


def parse_config(raw: bytes, name: str) -> Config:
    """The configuration that ``raw`` spells; ``name`` is what messages call it.

    Raises RefusedConfig.
    """
    from vmad.config.walk import Problem, Walk  # noqa: PLC0415  yaml costs 36 ms to import

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8: byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        raise RefusedConfig(name, [Problem(line, problem)]) from error
    walk = Walk()
    config = walk.config(_compose(text, name))
    if walk.problems:
        raise RefusedConfig(name, walk.problems)
    return config


def _read(path: str | os.PathLike[str]) -> bytes:
    from vmad.config.walk import Problem  # noqa: PLC0415

    name = os.fspath(path)
    try:
        # a FIFO that nobody writes to must not hang a reload
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise IsADirectoryError(21, "is a directory")
            os.set_blocking(fd, True)
            raw = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        remedy = "give the path of a YAML file that may be read"
        problem = Problem(None, f"cannot read the configuration: {cause}; {remedy}")
        raise RefusedConfig(name, [problem]) from error
    if len(raw) > MAX_SIZE:
        problem = Problem(None, f"larger than {MAX_SIZE} bytes: not a configuration")
        raise RefusedConfig(name, [problem])
    return raw


def _compose(text: str, name: str) -> yaml.Node | None:
    import yaml  # noqa: PLC0415

    from vmad.config.walk import Problem  # noqa: PLC0415

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable is not None:
        line = text.count("\n", 0, unprintable.start()) + 1
        what = f"character U+{ord(unprintable[0]):04X} may not stand in YAML; remove it"
        raise RefusedConfig(name, [Problem(line, what)])
    try:
        depth = 0
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                deep = event.start_mark.line + 1 if event.start_mark else None
                raise RefusedConfig(name, [Problem(deep, f"nested deeper than {MAX_DEPTH}")])
        root: yaml.Node | None = yaml.compose(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # yaml also ends lines at U+0085, U+2028 and U+2029: never name a line beyond the last
        line = min(mark.line, text.count("\n")) + 1 if mark else 1
        context = f"{error.context}: " if error.context else ""
        source = text.split("\n")[line - 1]
        tab = "\t" in source[: len(source) - len(source.lstrip())]
        hint = "; tabs cannot indent, use spaces" if tab else ""
        what = f"not YAML: {context}{error.problem}{hint}"
        if "nesting depth" in (error.problem or ""):
            # libyaml 0.2.6 (PyYAML 6.0.4) has a bound of its own, far above ours, and meets it
            # while it looks ahead for a simple key, before it has given the first event
            what = f"nested deeper than {MAX_DEPTH}"
        raise RefusedConfig(name, [Problem(line, what)]) from error
    except (yaml.YAMLError, ValueError) as error:
        what = f"not YAML: {' '.join(str(error).split())}"
        raise RefusedConfig(name, [Problem(None, what)]) from error
    return root
