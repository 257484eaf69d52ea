# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The man page and the completions know every command and option, and real programs take them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmad.operations.command_line import Command, commands
from vmad.operations.completions import bash
from vmad.operations.manual import manual
from vmad.operations.other_completions import fish, zsh

KNOWN = commands()
SYSTEMD = Path(__file__).parents[3] / "systemd"


def _completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of these words."""
    done = subprocess.run(
        [
            "bash",
            "--norc",
            "-c",
            '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vmad; '
            'printf "%s\\n" "${COMPREPLY[@]}"',
            str(script),
            *words,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The completions in a file."""
    path = tmp_path / "vmad"
    path.write_text(bash())
    return path


def test_groff_has_nothing_to_remark() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww"], input=manual(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert done.stderr == ""
    assert "vm.max_map_count" in done.stdout


@pytest.mark.parametrize("command", KNOWN, ids=lambda command: command.name)
def test_the_man_page_has_every_option(command: Command) -> None:
    page = manual().replace(r"\-", "-")
    section = page.split(f'.SS "vmad {command.name} ')[1].split(".SS")[0]

    for argument in command.arguments:
        for flag in argument.flags:
            assert rf"\fB{flag}\fR" in section


def test_commands_are_completed(script: Path) -> None:
    assert _completed(script, "vmad", "") >= {command.name for command in KNOWN}
    assert _completed(script, "vmad", "expl") == {"explain"}


@pytest.mark.parametrize("command", KNOWN, ids=lambda command: command.name)
def test_options_are_completed(script: Path, command: Command) -> None:
    options = {flag for argument in command.arguments for flag in argument.flags}

    assert _completed(script, "vmad", command.name, "-") == options


def test_values_are_completed(script: Path, tmp_path: Path) -> None:
    assert _completed(script, "vmad", "serve", "--evidence", "k") == {"kernel"}
    assert "1" in _completed(script, "vmad", "explain", "1")
    assert str(script) in _completed(script, "vmad", "serve", "--config", str(tmp_path / "v"))


@pytest.mark.parametrize(("shell", "text"), [("zsh", zsh()), ("fish", fish())])
def test_the_other_shells_take_their_scripts(shell: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(text)
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    for command in KNOWN:
        for argument in command.arguments:
            assert all(flag.lstrip("-") in text for flag in argument.flags)


def _offered_by_fish(tmp_path: Path, line: str) -> set[str]:
    path = tmp_path / "vmad.fish"
    path.write_text(fish())
    done = subprocess.run(
        ["fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2]"', str(path), line],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    return {each.split("\t")[0] for each in done.stdout.splitlines()}


def test_fish_offers_commands_options_and_values(tmp_path: Path) -> None:
    assert _offered_by_fish(tmp_path, "vmad expl") == {"explain"}
    assert _offered_by_fish(tmp_path, "vmad serve --evid") == {"--evidence"}
    assert _offered_by_fish(tmp_path, "vmad serve --evidence k") == {"kernel"}


def _offered_by_zsh(tmp_path: Path, line: str) -> str:
    """What a zsh at a terminal shows after two tabulators."""
    (tmp_path / "_vmad").write_text(zsh())
    (tmp_path / ".zshrc").write_text(
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump\n"
        "PS1='ready>'; setopt no_beep\n"
    )
    script = (
        "zmodload zsh/zpty; zpty -b z zsh -i; zpty -r -m z out '*ready>*'; "
        f"zpty -w -n z {line!r}$'\\t\\t'; "
        'zpty -r -m z out "*$1*" && print -r -- "$out"'
    )
    done = subprocess.run(
        ["zsh", "-f", "-c", script, "zsh", "procfs"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    return done.stdout


def test_zsh_offers_the_values_of_an_option(tmp_path: Path) -> None:
    assert "kernel" in _offered_by_zsh(tmp_path, "vmad serve --evidence ")


def test_what_the_unit_starts_are_options_that_exist() -> None:
    unit = (SYSTEMD / "vmad.service").read_text()
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    serve = next(command for command in KNOWN if command.name == "serve")
    flags = {flag for argument in serve.arguments for flag in argument.flags}

    assert {word for word in start.split() if word.startswith("--")} <= flags
