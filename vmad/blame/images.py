# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which mappings are one program or library as the loader laid it out, and which are pieces of a
file that is mapped once more elsewhere. Pure.

V8 maps its builtins, a part of node's own file, again beside the code that it compiles; programs
map themselves to read their symbols. Neither is where the file's tables say that it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from vmad.blame.mapped_files import Mapping


@dataclass(frozen=True, slots=True)
class Image:
    """One file from its first to its last mapping, ascending."""

    path: str
    pieces: tuple[Mapping, ...]

    @property
    def start(self) -> int:
        """Address of its first byte."""
        return self.pieces[0].start

    @property
    def end(self) -> int:
        """Address behind its last byte."""
        return self.pieces[-1].end

    def has_code_of(self, offset: int) -> Mapping | None:
        """The executable mapping that holds this byte of the file."""
        return next((piece for piece in self.pieces if _has_code_of(piece, offset)), None)


class Images:
    """The programs and libraries among ``mappings`` (ascending), for addresses in them."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        runs = _runs(mappings)
        begun = {run.path for run in runs if run.pieces[0].offset == 0}
        #: those with code
        self.all = [run for run in runs if run.pieces[0].offset == 0 or run.path not in begun]
        kept = {id(run) for run in self.all}
        self._copies = [
            piece for run in runs if id(run) not in kept for piece in run.pieces if piece.executable
        ]
        self._starts = [piece.start for piece in self._copies]

    def as_loaded(self, place: int) -> int:
        """Where the loader put the code that is at ``place``; the same for all but copies."""
        number = bisect_right(self._starts, place) - 1
        if number < 0 or place >= self._copies[number].end:
            return place
        copy = self._copies[number]
        offset = place - copy.start + copy.offset
        for image in self.all:
            if image.path == copy.path and (piece := image.has_code_of(offset)) is not None:
                return piece.start + offset - piece.offset
        return place


def _has_code_of(piece: Mapping, offset: int) -> bool:
    return piece.executable and piece.offset <= offset < piece.offset + piece.end - piece.start


def _runs(mappings: Sequence[Mapping]) -> list[Image]:
    """A file's mappings one after another, its bytes ascending; those with code."""
    # a data base or a JVM maps thousands of files that nothing is called in
    code = {mapping.path for mapping in mappings if mapping.executable and not mapping.is_no_file}
    runs: list[list[Mapping]] = []
    for mapping in mappings:
        if mapping.path not in code:
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last.path == mapping.path and last.offset <= mapping.offset:
            runs[-1].append(mapping)
        else:
            runs.append([mapping])
    return [
        Image(run[0].path or "", tuple(run)) for run in runs if any(each.executable for each in run)
    ]
