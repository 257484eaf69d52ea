# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every command with its options, as argparse knows them: what man page and completions are of."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from vmad.cli.main import COMMANDS, build_parser
from vmad.errors import VmadError

#: metavars whose values are file names
_FILES = frozenset({"FILE", "DIR", "DIRECTORY", "PATH"})


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or a positional argument (which has no flags).

    ``value`` is the placeholder of its value, None for a switch.
    """

    flags: tuple[str, ...]
    value: str | None
    choices: tuple[str, ...]
    help: str

    @property
    def is_file(self) -> bool:
        """Whether file names complete it."""
        return self.value in _FILES


@dataclass(frozen=True, slots=True)
class Command:
    """One command of ``vmad``."""

    name: str
    summary: str
    description: str
    arguments: tuple[Argument, ...]


def commands() -> tuple[Command, ...]:
    """All commands of this version, in the order of ``vmad --help``."""
    commands = []
    for name, (_, summary) in COMMANDS.items():
        try:
            parser = _parser_of(name)
        except VmadError:  # not in this version, or a package of it is missing
            continue
        commands.append(
            Command(
                name,
                summary,
                parser.description or summary,
                tuple(
                    _argument(parser, action)
                    for action in parser._actions
                    if action.help != argparse.SUPPRESS
                ),
            )
        )
    return tuple(commands)


def _parser_of(name: str) -> argparse.ArgumentParser:
    # argparse has no public way to what it was told
    for action in build_parser([name])._actions:
        if isinstance(action, argparse._SubParsersAction):
            parser: argparse.ArgumentParser = action.choices[name]
            return parser
    raise LookupError(name)


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    value: str | None = None
    if not action.option_strings or action.nargs != 0:
        name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        value = "|".join(choices) if choices else name
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return Argument(tuple(action.option_strings), value, choices, " ".join(text.split()))
