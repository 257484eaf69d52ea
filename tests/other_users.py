# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad run as another user with chosen capabilities (setpriv of util-linux).

That user may be unable to reach this checkout (below /root, say, which is mode 0700) and Python's
packages in it. What it runs is a copy, in a directory that everybody may read.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import vmad

#: "nobody", who owns no process of a test
NOBODY = "65534"

#: a program that sends its input to the Unix socket that it is told, and prints the answer
ASK_BY_SOCKET = (
    "import socket, sys\n"
    "one = socket.socket(socket.AF_UNIX)\n"
    "one.connect(sys.argv[1])\n"
    "one.sendall(sys.stdin.buffer.read())\n"
    "while part := one.recv(65536): sys.stdout.buffer.write(part)\n"
)

PROJECT = Path(__file__).parents[1] / "pyproject.toml"

_SCRIPT = """\
#!{python}
import sys
sys.path[0] = "{packages}"
from vmad.cli.main import main
sys.exit(main())
"""


def as_nobody(*capabilities: str) -> list[str]:
    """A command prefix: uid 65534 with these capabilities (named as "bpf") and no others."""
    exactly = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return [
        *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
        *("--inh-caps", exactly, "--ambient-caps", exactly, "--bounding-set", exactly),
    ]


def python() -> str:
    """The interpreter behind the virtual environment's; wants :func:`packages` in PYTHONPATH."""
    return os.path.realpath(sys.executable)


@functools.cache
def packages() -> Path:
    """A directory with vmad and what it depends on, readable by everybody, until we end."""
    place = Path(tempfile.mkdtemp(prefix="vmad-for-others-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    shutil.copytree(Path(vmad.__file__).parent, place / "vmad")
    for requirement in tomllib.loads(PROJECT.read_text())["project"]["dependencies"]:
        for file in distribution(requirement.split(">")[0]).files or ():
            if ".." not in file.parts:  # commands, in bin/
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), place / file)
    for directory, _, files in os.walk(place):
        os.chmod(directory, 0o755)
        for name in files:
            os.chmod(os.path.join(directory, name), 0o644)
    return place


@functools.cache
def vmad_for_all() -> str:
    """The command vmad, for whoever runs it."""
    script = packages() / "vmad-for-all"
    script.write_text(_SCRIPT.format(python=python(), packages=packages()))
    script.chmod(0o755)
    return str(script)


def open_to_everybody(tmp_path: Path) -> None:
    """pytest keeps its directories to their owner; above them nothing is changed."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory == Path(tempfile.gettempdir()):
            break
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(0o755)
