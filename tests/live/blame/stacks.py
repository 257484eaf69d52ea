# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How many of the stacks of real programs reach the beginning of their thread.

``python -m tests.live.blame.stacks`` (make blame-stacks) asks all that can be had on this machine,
Debian's redis and PHP unpacked into build/blame.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.atlas.packages import entered, unpack
from bench.atlas.row import LOADS, ROOT
from vmad.blame.blamed import Blamed
from vmad.export.blame_json import blamed_of

UNPACKED, DEBS = ROOT / "build" / "blame" / "root", ROOT / "build" / "blame" / "debs"
PACKAGES: Final = ("redis-server", "php-cli")
#: seconds after which what ought to happen has not
PATIENCE: Final = 120.0
#: that a redis is filled with
KEYS: Final = 5_000
#: of each program's stacks
ASKED: Final = 0.9


@dataclass(frozen=True)
class Load:
    """A program under a load, that says READY when it stands and ends with its standard input.

    ``argv`` is started in a directory of its own; ``feed`` works on it there and ends it, where it
    does not do so by itself. ``needs`` are the programs without which it cannot be had.
    """

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...]
    feed: Callable[[Path], None] | None = None

    @property
    def there(self) -> bool:
        """Whether all that it needs is installed."""
        return all(map(shutil.which, self.needs))


def _filled(here: Path) -> None:
    """Keys of many sizes and kinds into a redis, some of them let go, and its end."""
    began = time.monotonic()
    while not (here / "s").exists():
        assert time.monotonic() - began < PATIENCE, "redis does not listen"
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(str(here / "s"))
        answers = to.makefile("rb")
        for number in range(KEYS):
            size = 1 << number % 15
            to.sendall(
                b"SET k%d %s\r\nLPUSH l%d %s\r\nHSET h f%d %s\r\nDEL k%d\r\n"
                % (number, b"x" * size, number % 50, b"y" * 64, number, b"z" * 32, number // 2)
            )
            for _ in range(4):
                assert not answers.readline().startswith(b"-")
        to.sendall(b"SHUTDOWN NOSAVE\r\n")
        to.recv(1)


_JAVA = ("sh", "-c", f'javac -d . {LOADS}/Load.java && exec java "$@"', "sh")
_NODE = ("node", "--max-old-space-size=2000")
_GROW = str(LOADS / "grow.py")

EVERY: Final = (
    Load("CPython, byte arrays", (sys.executable, _GROW, "bytearrays", "300"), ()),
    Load("CPython, 50 threads", (sys.executable, _GROW, "threads", "50"), ()),
    Load(
        f"redis, {KEYS:,} keys of many sizes",
        ("redis-server", "--port", "0", "--unixsocket", "s", "--save", ""),
        ("redis-server",),
        _filled,
    ),
    Load(
        "PHP, 1,500 fibers",
        ("php", "-d", "memory_limit=-1", str(LOADS / "fibers.php"), "1500"),
        ("php",),
    ),
    Load("Node, a heap of 200 MiB", (*_NODE, str(LOADS / "heap.js"), "heap", "200"), ("node",)),
    Load("Node, 8 workers", (*_NODE, str(LOADS / "heap.js"), "workers", "8"), ("node",)),
    Load(
        "Node, a heap of 200 MiB, --perf-basic-prof",
        (*_NODE, "--perf-basic-prof", str(LOADS / "heap.js"), "heap", "200"),
        ("node",),
    ),
    Load("JVM, 200 threads", (*_JAVA, "-cp", ".", "Load", "threads", "200"), ("java", "javac")),
    Load(
        "JVM, a heap that comes and goes",
        (*_JAVA, "-Xmx512m", "-cp", ".", "Load", "waves", "256"),
        ("java", "javac"),
    ),
)


def recorded(load: Load, here: Path, prefix: Callable[[Sequence[str]], Sequence[str]]) -> Blamed:
    """The load recorded from its first call to its end, by the command that a person would use."""
    answer = here / "blamed.json"
    words = [sys.executable, "-m", "vmad.cli.main", "blame", "-o", str(answer), "--"]
    # -m finds vmad where this is started, the load's files are elsewhere
    inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(here), *load.argv]
    with subprocess.Popen([*words, *prefix(inside)], stdin=-1, stdout=-1, cwd=ROOT) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if load.feed is not None:
            load.feed(here)
        else:
            while b"READY" not in (line := child.stdout.readline()):
                assert line, f"{load.name}: it ended early"
        child.stdin.close()
        child.stdout.read()
        assert child.wait() == 0
    return blamed_of(answer.read_text("utf-8"), load.name)


def main() -> int:
    """A table for a person."""
    if not (UNPACKED / "complete").exists():
        unpack(PACKAGES, DEBS, UNPACKED)
        # what Debian's alternatives would do
        (php,) = (UNPACKED / "usr" / "bin").glob("php[0-9]*")
        (php.parent / "php").symlink_to(php.name)
    few = []
    print(f"{'':44} {'stacks':>7} {'complete':>9} {'VMAs':>7} {'complete':>9}")
    for load in EVERY:
        unpacked = any((UNPACKED / "usr" / "bin" / name).exists() for name in load.needs)
        if not unpacked and not load.there:
            print(f"{load.name:44} not to be had here: {', '.join(load.needs)}")
            continue
        prefix = (lambda argv: entered(argv, UNPACKED)) if unpacked else list
        with tempfile.TemporaryDirectory() as here:
            blamed = recorded(load, Path(here), prefix)
        assert blamed.complete_stacks is not None
        share = blamed.complete_stacks / blamed.stacks
        print(
            f"{load.name:44} {blamed.stacks:7} {share:9.1%} {blamed.told:7} "
            f"{blamed.complete / blamed.told:9.1%}"
            + ("" if blamed.losses.nothing else f"  lost: {blamed.losses}"),
            flush=True,
        )
        if share < ASKED:
            few.append(load.name)
    return bool(few)


if __name__ == "__main__":
    sys.exit(main())
