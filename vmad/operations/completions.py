# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Completions for bash, made of what the commands say of themselves.

``python -m vmad.operations.completions [bash|zsh|fish]``; made when a package is built, as the man
page is. The other shells' are in :mod:`vmad.operations.other_completions`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from vmad.operations.command_line import Command, commands
from vmad.operations.other_completions import fish, zsh

_PIDS = '$(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word")'

_HEAD = """\
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# bash completion for vmad(1)
_vmad() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    COMPREPLY=()"""

_TAIL = """\
}
complete -F _vmad vmad"""


def bash() -> str:
    """A script to be sourced."""
    return "\n".join(_lines(commands())) + "\n"


def _lines(known: tuple[Command, ...]) -> Iterator[str]:
    names = " ".join(command.name for command in known)
    yield _HEAD
    yield '    if [ "$COMP_CWORD" = 1 ]; then'
    yield f"        COMPREPLY=($(compgen -W '{names} --help --version' -- \"$word\"))"
    yield "        return"
    yield "    fi"
    yield "    case $command in"
    for command in known:
        yield f"    {command.name})"
        yield from _of(command)
        yield "        ;;"
    yield "    esac"
    yield _TAIL


def _of(command: Command) -> Iterator[str]:
    options = [argument for argument in command.arguments if argument.flags]
    yield "        case $before in"
    for option in options:
        pattern = "|".join(option.flags)
        if option.choices:
            values = " ".join(option.choices)
            yield f"        {pattern}) COMPREPLY=($(compgen -W '{values}' -- \"$word\")); return ;;"
        elif option.is_file:
            yield f'        {pattern}) COMPREPLY=($(compgen -f -- "$word")); return ;;'
    yield "        esac"
    flags = " ".join(flag for option in options for flag in option.flags)
    positional = [argument for argument in command.arguments if not argument.flags]
    yield "        case $word in"
    yield f"        -*) COMPREPLY=($(compgen -W '{flags}' -- \"$word\")) ;;"
    if any(argument.value == "PID" for argument in positional):
        yield f"        *) COMPREPLY=({_PIDS}) ;;"
    elif any(argument.is_file for argument in positional):
        yield '        *) COMPREPLY=($(compgen -f -- "$word")) ;;'
    yield "        esac"


def main(shell: str = "bash") -> None:
    """Print the script of one shell. Raises KeyError for a shell that has none."""
    scripts: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
    print(scripts[shell](), end="")


if __name__ == "__main__":
    main(*sys.argv[1:2])
