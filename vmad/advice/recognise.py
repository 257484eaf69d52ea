# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which programs, runtimes and allocators a process consists of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmad.model.program import SYMBOLS, Program, Recognised, Traits, Version
from vmad.model.sign import Sign, Where

_DELETED = " (deleted)"
_MEMFD = "/memfd:"


def recognise(names: Iterable[str], traits: Traits | None = None) -> tuple[Recognised, ...]:
    """Every program that ``names`` (as maps prints them) or its files give away, once each.

    In the order of Program; empty for a redacted capture or a stripped static program.
    """
    traits = traits or Traits()
    texts = _texts(set(names), traits)
    programs: dict[Program, Recognised] = {}
    for program in Program:
        for sign in program.signs:
            seen = programs.get(program)
            if seen is not None and seen.version is not None:
                break
            for text in texts[sign.where]:
                match = sign.expression.search(text)
                if match is None:
                    continue
                version = traits.versions.get(program) or _version(match.groups())
                if seen is None or version is not None:
                    seen = Recognised(program, version, _told_by(sign, match[0]))
                    programs[program] = seen
                for also in program.also:
                    programs.setdefault(also, Recognised(also, traits.versions.get(also), seen.by))
                if version is not None:
                    break
    _told_by_version(programs, traits)
    return tuple(programs.values())


class TellingSymbols:
    """What :func:`vmad.sources.traits.read_traits` looks for."""

    symbols = SYMBOLS

    def known(self, exe: str) -> bool:
        """Whether some sign knows the program by its path."""
        return bool(recognise((), Traits(exe)))


def _texts(names: set[str], traits: Traits) -> dict[Where, list[str]]:
    paths, areas = [], []
    for name in names:
        if name.startswith("[anon:") or name.startswith("[anon_shmem:"):
            areas.append(name.partition(":")[2].removesuffix("]"))
        elif name.startswith(_MEMFD):
            areas.append(name.removeprefix(_MEMFD).removesuffix(_DELETED))
        elif name.startswith("/"):
            paths.append(name.removesuffix(_DELETED))
    files = {path.rpartition("/")[2] for path in paths}
    exe = [] if traits.exe is None else [traits.exe.removesuffix(_DELETED).rpartition("/")[2]]
    return {
        Where.FILE: sorted(files),
        Where.PATH: sorted(paths),
        Where.EXE: exe,
        Where.AREA: sorted(areas),
        Where.SYMBOL: sorted(traits.symbols),
        Where.SECTION: sorted(traits.sections),
    }


def _told_by_version(programs: dict[Program, Recognised], traits: Traits) -> None:
    for program, version in traits.versions.items():
        if program not in programs:
            programs[program] = Recognised(program, version, "its file says so")


def _told_by(sign: Sign, text: str) -> str:
    """In words; of a path only what the sign is about, as who may not read maps may see this."""
    return f"{sign.where.value} {text.strip('/')}"


def _version(groups: tuple[str | None, ...]) -> Version | None:
    for text in groups:
        if text and text[0].isdigit():
            return tuple(int(part) for part in text.split(".") if part.isdigit())
    return None


def signs_of(program: Program) -> Iterator[Sign]:
    """Every sign that gives ``program`` away, by itself or by what it comes with."""
    for other in Program:
        if other is program or program in other.also:
            yield from other.signs
