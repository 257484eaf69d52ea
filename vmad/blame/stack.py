# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Call stacks as people read them: frames with names, the innermost first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final

_DELETED: Final = " (deleted)"
#: what Rust's mangling adds: v0 to each crate, the one before to each function
_CRATE: Final = re.compile(r"\[[0-9a-f]{8,16}\](?=[:<>,) ]|$)")
_LEGACY: Final = re.compile(r"::h[0-9a-f]{16}$")


class Ending(StrEnum):
    """How the outermost frame that is known was left."""

    COMPLETE = "complete"  #: it is where a thread begins
    CUT = "cut"  #: the stack is larger than what was copied
    LOST = "lost"  #: code without unwind tables
    MISSING = "missing"  #: the stack was not copied: no room


@dataclass(frozen=True, slots=True)
class Frame:
    """One call. ``function`` is None where there is no symbol; ``module`` None outside of files
    (code made at run time). ``offset`` is the address in the module's file, as nm(1) and
    addr2line(1) have it, or the address itself. ``source`` is "file:line" where debug information
    tells."""

    function: str | None
    module: str | None
    offset: int
    source: str | None = None
    build_id: str | None = None

    @property
    def short(self) -> str:
        """The function without parameters, template arguments and symbol versions."""
        if self.function is None:
            return self.name
        return without_arguments(self.function.split("@@", 1)[0])

    @property
    def name(self) -> str:
        """The function, or where it is."""
        if self.function is not None:
            return self.function
        # a file that was replaced is printed with " (deleted)" behind it
        where = PurePath(self.module.removesuffix(_DELETED)).name if self.module else "?"
        return f"{where}+{self.offset:#x}"


def without_arguments(name: str) -> str:
    """("void a::f<int>(b<c> const&) const") -> "a::f"; other names stay.

    What is in parentheses or angle brackets goes, but for "(anonymous namespace)" and operators; of
    Rust also the hashes of crates and of functions.
    """
    if _CRATE.search(name):
        return _of_rust(_CRATE.sub("", name))
    name = _LEGACY.sub("", name)
    if "(" not in name or "operator" in name:
        return name
    kept: list[str] = []
    depth = 0
    text = name.replace("(anonymous namespace)", "\0")
    for place, letter in enumerate(text):
        if letter in "<(":
            if letter == "(" and not depth and kept:
                rest = text[place:]
                # a lambda's parameters stand in the middle of a name
                if ")::" not in rest and ")#" not in rest:
                    break
            depth += 1
        elif letter in ">)" and depth:
            depth -= 1
        elif not depth:
            kept.append(letter)
    plain = "".join(kept).strip().replace("\0", "(anonymous namespace)")
    # a template's instance is told with its type before it
    return plain.rsplit(" ", 1)[-1] if plain and "namespace)" not in plain else plain or name


def _of_rust(name: str) -> str:
    """("<a::B<C> as d::E>::f::<(u8, u8)>::{closure#0}") -> "a::B::f::{closure#0}"."""
    name = name.replace("->", "")
    if name.startswith("<"):
        end = _closing(name)
        name = name[1:end].split(" as ", 1)[0] + name[end + 1 :]
    kept, depth = [], 0
    for letter in name:
        depth += letter == "<"
        if not depth:
            kept.append(letter)
        depth -= letter == ">" and depth > 0
    return "".join(kept).replace("::::", "::").removesuffix("::") or name


def _closing(name: str) -> int:
    """Where the bracket ends that it begins with."""
    depth = 0
    for place, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if not depth:
            return place
    return len(name)


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames from where the call was made outwards."""

    frames: tuple[Frame, ...]
    ending: Ending

    @property
    def complete(self) -> bool:
        """Whether it reaches the beginning of its thread."""
        return self.ending is Ending.COMPLETE


NO_STACK: Final = Stack((), Ending.MISSING)

#: where threads begin: glibc, musl, the JVM, Go, language runtimes whose threads are their own
_BEGINNINGS: Final = frozenset(
    {
        "_start", "_dl_start", "_dl_start_user", "__libc_start_main", "__libc_start_call_main",
        "__libc_start_main_impl", "main", "start_thread", "thread_start", "clone", "__clone",
        "clone3", "__clone3", "__clone_internal", "make_fcontext",
        "runtime.goexit", "runtime.rt0_go", "runtime.mstart",
    }
)  # fmt: skip


def begins_a_thread(function: str | None) -> bool:
    """Whether nothing calls this function."""
    if function is None:
        return False
    plain = function.split("@", 1)[0].split("(", 1)[0]
    return plain in _BEGINNINGS or plain.startswith("runtime.goexit")
