# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The program: one line and the right status for every error, nothing imported in vain."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.running import vmad
from vmad import __version__
from vmad.cli.main import COMMANDS
from vmad.errors import BadConfig

VMAD = [sys.executable, "-m", "vmad"]


def test_version() -> None:
    ran = vmad("--version")

    assert (ran.status, ran.out) == (0, f"vmad {__version__}\n")


def test_help_names_every_command() -> None:
    ran = vmad("--help")

    assert ran.status == 0
    assert all(f"  {name} " in ran.out for name in COMMANDS)


@pytest.mark.parametrize("words", [[], ["nonsense"], ["--nonsense"], ["explain"], ["scan", "--x"]])
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    ran = vmad(*words)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("usage: vmad")


@pytest.mark.parametrize(
    ("words", "usage", "says"),
    [
        (["scna"], "vmad", "there is no command 'scna', did you mean scan?"),
        (["--verison"], "vmad", "there is no option --verison, did you mean --version?"),
        (["--format", "json", "scan"], "vmad", "a command's options come after its name"),
        (["scan", "--evidnce", "kernel"], "vmad scan", "--evidnce, did you mean --evidence?"),
        (["scan", "1", "--fromat=json"], "vmad scan", "--fromat, did you mean --format?"),
        (["scan", "--evidence", "kernal"], "vmad scan", "'kernal', did you mean kernel?"),
        (["heal", "--aply", "1"], "vmad heal", "--aply, did you mean --apply?"),
        (["explain", "1", "2"], "vmad explain", "unrecognized arguments: 2"),
        (["lab", "runn"], "vmad lab", "there is no command 'runn', did you mean run?"),
        (["lab", "fetch", "6.1", "--al"], "vmad lab fetch", "there is no option --al"),
        (["capture", "-ofile", "--nmes"], "vmad capture", "--nmes, did you mean --names?"),
    ],
)
def test_wrong_usage_shows_the_commands_own_usage_and_the_nearest_word(
    words: list[str], usage: str, says: str
) -> None:
    ran = vmad(*words)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"usage: {usage} [-h]")
    assert f"{usage}: error: " in ran.err
    assert says in ran.err.splitlines()[-1]


@pytest.mark.parametrize("pid", ["-1", "0", "abc", "1.5", "", "99999999999999999999", "１"])
def test_what_is_no_pid_is_wrong_usage(pid: str) -> None:
    for command in ("explain", "scan"):
        ran = vmad(command, pid)

        assert (ran.status, ran.out) == (2, "")


@pytest.mark.parametrize("address", ["x", "x:", ":1", "x:y", "x:0", "x:65536", "x:-1"])
def test_what_is_no_address_is_wrong_usage(address: str) -> None:
    ran = vmad("explain", 1, "--daemon", address)

    assert ran.status == 2
    assert "is not HOST:PORT" in ran.err


@pytest.mark.parametrize("release", ["new", "6", "", "v6.1"])
def test_what_is_no_kernel_release_is_wrong_usage(release: str) -> None:
    ran = vmad("scan", "--kernel", release)

    assert ran.status == 2
    assert "is not a kernel release" in ran.err


def test_a_command_that_is_not_there_yet_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "later", ("vmad.cli.later", "some day"))
    ran = vmad("later")

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"vmad: later: not in this version ({__version__})\n"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, vmad.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({'numpy', 'yaml', 'prometheus_client'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert ran.stdout.splitlines()[-1] == b""


def test_explaining_imports_nothing_that_it_does_not_need() -> None:
    program = (
        # numpy 1 brings numpy.ma itself
        "import os, sys, numpy\n"
        "brought = set(sys.modules)\n"
        "import vmad.cli.main as m\n"
        "import vmad.cli.explain as e; e.DEFAULT_ADDRESS = '127.0.0.1:1'\n"
        "m.main(['explain', str(os.getpid()), '--evidence', 'procfs'])\n"
        "unneeded = {'numpy.ma', 'zipfile', 'http.client', 'vmad.export.scan_json', "
        "'vmad.export.explain_json', 'vmad.scan.snapshot', 'vmad.sources.guest.btf'}\n"
        "print(*sorted(unneeded & set(sys.modules) - brought))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert ran.stdout.splitlines()[-1] == b""


def test_a_reader_that_goes_away_is_no_error(host: Path) -> None:
    with subprocess.Popen(
        [*VMAD, "explain", "100", "--from", host, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        complaint = child.stderr.read()

    assert (child.returncode, complaint) == (128 + signal.SIGPIPE, b"")


def test_a_full_disk_behind_stdout_is_one_line(host: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*VMAD, "scan", "--from", host], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert ran.returncode == 1
    assert ran.stderr == b"vmad: cannot write the answer: No space left on device\n"


def test_names_that_the_locale_cannot_show_are_escaped(host: Path) -> None:
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    ran = subprocess.run(
        [*VMAD, "explain", "100", "--from", host], capture_output=True, env=environment, check=True
    )

    assert ran.stdout.isascii()


def test_a_missing_file_is_one_line() -> None:
    ran = vmad("scan", "--from", "/nowhere/at\x1ball")

    assert (ran.status, ran.out) == (3, "")
    assert ran.err == "vmad: /nowhere/at\\x1ball: No such file or directory\n"


def test_a_closed_stdout_is_no_crash(host: Path) -> None:
    command = f"exec {sys.executable} -m vmad scan --from {host} >&-"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, b"")


def test_every_mistake_of_a_configuration_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BadConfig("a.yaml:1: one\na.yaml:2: two\x1b")

    monkeypatch.setattr("vmad.cli.main.build_parser", refuse)
    ran = vmad("serve")

    assert (ran.status, ran.err) == (2, "vmad: a.yaml:1: one\nvmad: a.yaml:2: two\\x1b\n")
