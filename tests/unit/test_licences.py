# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every file says its licence, but for those that have no place for it; none is here by mistake."""

from __future__ import annotations

import subprocess
from pathlib import Path

HOME = Path(__file__).parents[2]
#: formats without comments, and what programs wrote that is compared byte for byte
NO_PLACE = {".json", ".npz", ".patch", ".png"}
NO_PLACE_BELOW = (
    "debian/changelog",
    "debian/copyright",
    "debian/source/format",
    "deploy/kernel/VERSION",
    "deploy/kernel/patches/series",
    "tests/fuzz/seeds/",
    "tests/unit/goldens/expected/",
)


#: what is made in a checkout (.gitignore); dots begin what tools leave
MADE = {"build", "__pycache__", ".hypothesis", ".venv"}
MADE_SUFFIXES = {".log", ".o", ".bin"}


def files() -> list[str]:
    """What git keeps here; without git, as in an unpacked source package, what nobody made here."""
    if not (HOME / ".git").exists():
        return [
            str(path.relative_to(HOME))
            for path in HOME.rglob("*")
            if path.is_file()
            and path.suffix not in MADE_SUFFIXES
            and not any(
                part in MADE or part.endswith(".egg-info") or "_cache" in part
                for part in path.relative_to(HOME).parts
            )
            and not path.is_relative_to(HOME / "bench" / "out")
        ]
    command = ["git", "-c", f"safe.directory={HOME}", "-C", str(HOME), "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (HOME / name).exists()]


def test_every_file_says_its_licence() -> None:
    silent = [
        name
        for name in files()
        if Path(name).suffix not in NO_PLACE
        and not name.startswith(NO_PLACE_BELOW)
        and b"SPDX-License-Identifier: " not in (HOME / name).read_bytes()[:1024]
    ]
    assert silent == []


def test_nothing_lies_at_the_top_but_what_belongs_there() -> None:
    assert {name.split("/")[0] for name in files()} == {
        *(".ci", ".containerignore", ".gitignore", "CHANGELOG.md", "Makefile", "README.md"),
        *("bench", "debian", "deploy", "docs", "examples", "findings"),
        *("pyproject.toml", "requirements", "setup.py", "systemd", "tests", "vmad"),
    }
