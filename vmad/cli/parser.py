# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A command line whose mistakes are answered by the command itself, with the nearest right word.

argparse hands unknown options up to the program's parser, which then shows its own usage instead
of the command's, and takes the value of a misspelt option for an argument of the command.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class Help(argparse.HelpFormatter):
    """argparse's, as wide as that; it asks shutil, which brings three ways of compression along,
    and is made with each option that is added.
    """

    def __init__(self, prog: str, max_help_position: int = 24) -> None:
        super().__init__(prog, max_help_position=max_help_position, width=columns(80) - 2)


def columns(otherwise: int) -> int:
    """Of the terminal, as shutil.get_terminal_size() has it: COLUMNS goes first."""
    try:
        given = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        given = 0
    if given > 0:
        return given
    try:
        if sys.__stdout__ is None:
            return otherwise
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or otherwise
    except (ValueError, OSError):  # closed, or no terminal
        return otherwise


class Parser(argparse.ArgumentParser):
    """An ArgumentParser; parsers of commands that are added to it are of this class too."""

    _words: Sequence[str] = ()

    def __init__(self, **named: Any) -> None:
        super().__init__(**{"formatter_class": Help, **named})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but what a command does not know is its own error."""
        self._words = tuple(args or ())
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left

    def error(self, message: str) -> NoReturn:
        """Usage and one line on stderr, exit status 2. A misspelt option explains all else."""
        unknown = self._unknown_option()
        if unknown is not None:
            name = unknown.partition("=")[0]
            message = f"there is no option {name}{_nearest(name, self._option_string_actions)}"
            if self._subparsers is not None:
                message += "; a command's options come after its name"
        super().error(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if action.choices is not None and value not in action.choices:
            what = "there is no command" if action.metavar == "COMMAND" else "invalid choice:"
            raise argparse.ArgumentError(
                None if action.metavar == "COMMAND" else action,
                f"{what} {value!r}{_nearest(str(value), choices)} (there are {', '.join(choices)})",
            )

    def _unknown_option(self) -> str | None:
        known = self._option_string_actions
        for word in self._words:
            if word == "--":
                break
            if self._subparsers is not None and not word.startswith("-"):
                break  # the rest is the command's
            if not word.startswith("-") or word == "-" or self._negative_number_matcher.match(word):
                continue
            name = word.partition("=")[0]
            attached = not word.startswith("--") and word[:2] in known
            if not attached and not any(option.startswith(name) for option in known):
                return word
        return None


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415  only where there is a mistake

    matches = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {matches[0]}?" if matches else ""
