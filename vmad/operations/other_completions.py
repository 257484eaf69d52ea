# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Completions for zsh and fish: both show what an option is for, so both are written from that."""

from __future__ import annotations

from collections.abc import Iterator

from vmad.operations.command_line import Argument, Command, commands

_LICENCE = "# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only"


def zsh() -> str:
    """A function for a directory of fpath, to be called ``_vmad``."""
    return "\n".join(_zsh_lines(commands())) + "\n"


def _zsh_lines(known: tuple[Command, ...]) -> Iterator[str]:
    yield "#compdef vmad"
    yield _LICENCE
    yield "local -a commands"
    yield "commands=("
    for command in known:
        yield f"    {_quoted(f'{command.name}:{command.summary}')}"
    yield ")"
    yield "if (( CURRENT == 2 )); then"
    yield "    _describe command commands"
    yield "    return"
    yield "fi"
    yield "case $words[2] in"
    for command in known:
        specifications = " ".join(
            _quoted(words) for argument in command.arguments for words in _zsh_argument(argument)
        )
        yield f"{command.name})"
        # what stands before the command's own words is none of _arguments' business
        yield "    shift words; (( CURRENT-- ))"
        yield f"    _arguments -s {specifications}"
        yield "    ;;"
    yield "esac"


def _zsh_argument(argument: Argument) -> Iterator[str]:
    """Specifications of _arguments (zshcompsys(1)): ``--flag[help]:value:action``."""
    action = "_files" if argument.is_file else ""
    if argument.choices:
        action = f"({' '.join(argument.choices)})"
    elif argument.value == "PID":
        action = "_pids"
    for flag in argument.flags:
        text = f"{flag}[{_in_zsh(argument.help)}]"
        yield text if argument.value is None else f"{text}:{_in_zsh(argument.value)}:{action}"
    if not argument.flags:
        yield f"*:{_in_zsh(argument.value or '')}:{action}"


def _in_zsh(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def fish() -> str:
    """A script for a directory of vendor_completions.d."""
    return "\n".join(_fish_lines(commands())) + "\n"


def _fish_lines(known: tuple[Command, ...]) -> Iterator[str]:
    yield _LICENCE
    yield "complete -c vmad -f"
    for command in known:
        words = f"-n __fish_use_subcommand -a {command.name} -d {_in_fish(command.summary)}"
        yield f"complete -c vmad {words}"
    for command in known:
        seen = f'-n "__fish_seen_subcommand_from {command.name}"'
        for argument in command.arguments:
            yield f"complete -c vmad {seen} {_fish_argument(argument)}"


def _fish_argument(argument: Argument) -> str:
    words = [f"-s {flag[1:]}" for flag in argument.flags if not flag.startswith("--")]
    words += [f"-l {flag[2:]}" for flag in argument.flags if flag.startswith("--")]
    if argument.choices:
        words.append(f"{'-x ' if argument.flags else ''}-a {_in_fish(' '.join(argument.choices))}")
    elif argument.value == "PID":
        words.append(
            "-x -a '(__fish_complete_pids)'" if argument.flags else "-a '(__fish_complete_pids)'"
        )
    elif argument.is_file:
        words.append("-r -F" if argument.flags else "-F")
    elif argument.value is not None and argument.flags:
        words.append("-x")
    if argument.help:
        words.append(f"-d {_in_fish(argument.help)}")
    return " ".join(words)


def _in_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(text: str) -> str:
    """One word for a shell of the Bourne family."""
    return "'" + text.replace("'", "'\\''") + "'"
