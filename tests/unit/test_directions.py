# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Imports run in one direction: from rooms that are above to those below (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import vmad

PACKAGE = Path(vmad.__file__).parent

#: rooms from the ground up; those of one line know nothing of each other
FLOORS = (
    {"errors", "files", "memory", "threads", "architecture"},
    {"model"},
    {"rules", "timeline"},
    {"advice"},
    {"config"},
    {"sources"},
    {"scan"},
    {"blame"},
    {"export"},
    {"doctor", "probe", "web"},
    {"selfcheck", "daemon", "top"},
    {"lab"},
    {"cli"},
    {"operations"},
)
#: vmad.errors and the like, which are known on their own floor
GROUND = {"errors"}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str | None:
    """The room that a module of vmad belongs to; None for the package itself and other packages."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if first == "vmad" else None


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module


def modules() -> Iterator[tuple[Path, str]]:
    """Every file that is part of a room; ``__main__`` are programs, which know everything."""
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if file.name != "__main__.py" and room != "__init__":
            yield file, room


def test_every_room_has_its_floor() -> None:
    assert {room for _, room in modules()} <= FLOOR_OF.keys()


def test_no_import_runs_upwards() -> None:
    upwards = [
        f"{file.relative_to(PACKAGE.parent)}:{line}: {room} imports {module}"
        for file, room in modules()
        for line, module in imports(file)
        if (other := room_of(module)) is not None
        and other != room
        and other not in GROUND
        and FLOOR_OF[other] >= FLOOR_OF[room]
    ]

    assert upwards == []


def test_imports_are_absolute() -> None:
    relative = [
        file
        for file, _ in modules()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def test_pages_know_nothing_of_the_server_that_gives_them_out() -> None:
    pages = PACKAGE / "web" / "pages"
    known = [
        f"{file.relative_to(PACKAGE)}:{line}: {module}"
        for file in sorted(pages.rglob("*.py"))
        for line, module in imports(file)
        if module.startswith("vmad.web.") and not module.startswith("vmad.web.pages.")
    ]

    assert known == []
