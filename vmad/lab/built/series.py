# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A series of patches in quilt's form, applied to a tree in which only what differs is replaced.

The patches are applied aside, to the files that they name, so that a series that does not apply
leaves the tree as it was, and one that changed in a single file has a single file compiled anew.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vmad.lab.cache import no_space_explained, write_whole
from vmad.lab.errors import LabError

_RECORD = ".vmad-series"
# diff(1)'s headers; git's carry no time after the name
_NAMED = re.compile(r"^(?:---|\+\+\+) (?:[^/\s]+/)(?P<path>[^\t\n]+)", re.MULTILINE)
_HUNK = re.compile(r"^Hunk #(?P<number>\d+) FAILED at (?P<line>\d+)", re.MULTILINE)
_MOVED = re.compile(
    r"^Hunk #(?P<number>\d+) succeeded at \d+ \(offset (?P<lines>-?\d+) lines?\)", re.MULTILINE
)
_FILE = re.compile(r"^(?:checking|patching) file '?(?P<path>[^'\n]+?)'?(?: \(.*\))?$", re.MULTILINE)


def series(directory: Path) -> list[Path]:
    """The patches of a directory, in the order of its ``series`` file (quilt(1)).

    Raises ``LabError`` when there is no such file, or a patch that it names is absent.
    """
    listing = directory / "series"
    try:
        text = listing.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LabError(
            f"there is no patch series at {listing}", "give --patches DIR, or --stock"
        ) from error
    patches = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[1:] not in ([], ["-p1"]):
            raise LabError(f"{listing} has options for {words[0]}", "only -p1 is understood")
        patches.append(directory / words[0])
        if not patches[-1].is_file():
            raise LabError(f"{listing} names {words[0]}, which is not there", "add it, or leave it")
    if not patches:
        raise LabError(f"{listing} names no patch", "add one, or give --stock")
    return patches


def files_named(patch: str) -> set[str]:
    """The files that a patch changes, makes or removes, relative to the tree."""
    return {match["path"] for match in _NAMED.finditer(patch)}


def apply(patches: Sequence[Path], pristine: Path, tree: Path, what: str) -> dict[str, list[str]]:
    """Make ``tree`` what ``pristine`` is with these patches applied; no patches: as pristine.

    Returns for each patch the hunks that found their context elsewhere than they say, as people
    read it. Raises ``LabError`` that names the patch, the file and the hunk; then nothing has
    changed. ``what`` names the source in that message.
    """
    texts = _texts(patches)
    named = _named(texts.values())
    record = tree / _RECORD
    before = set(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else set()
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".patching.") as temporary:
        aside = Path(temporary)
        moved = _applied(texts, pristine, aside, what)
        # The record comes first: a killed build must not forget what it may have changed.
        write_whole(record, json.dumps(sorted(before | named)).encode())
        for path in sorted(before | named):
            _put(tree / path, (aside if path in named else pristine) / path)
    write_whole(record, json.dumps(sorted(named)).encode())
    return moved


def tried(patches: Sequence[Path], pristine: Path, what: str) -> dict[str, list[str]]:
    """What ``apply`` would return or raise; no tree is needed, and none is changed."""
    with tempfile.TemporaryDirectory(prefix="vmad-series.") as temporary:
        return _applied(_texts(patches), pristine, Path(temporary), what)


def _texts(patches: Sequence[Path]) -> dict[Path, str]:
    return {patch: patch.read_text(encoding="utf-8") for patch in patches}


def _named(texts: Iterable[str]) -> set[str]:
    named = set().union(*(files_named(text) for text in texts))
    outside = sorted(path for path in named if path.startswith("/") or ".." in Path(path).parts)
    if outside:
        raise LabError(f"a patch names {outside[0]}, outside the tree", "name files of the kernel")
    return named


def _applied(
    texts: Mapping[Path, str], pristine: Path, aside: Path, what: str
) -> dict[str, list[str]]:
    _copy(_named(texts.values()), pristine, aside)
    return {patch.name: _apply_one(patch, text, aside, what) for patch, text in texts.items()}


def _copy(paths: Iterable[str], source: Path, target: Path) -> None:
    with no_space_explained(target):
        for path in paths:
            if (source / path).exists():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / path, target / path)


def _apply_one(patch: Path, text: str, aside: Path, what: str) -> list[str]:
    # No fuzz: a hunk that fits only by leaving out context may have landed in another function.
    options = ["-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch"]
    done = subprocess.run(
        ["patch", *options, "--reject-file=-", "-d", str(aside)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    if done.returncode != 0:
        raise LabError(
            f"{patch.name} does not apply to {what}: {refusal(said)}",
            "nothing was built; take another --source, or refresh the patch",
        )
    return moved_hunks(said)


def moved_hunks(said: str) -> list[str]:
    """The hunks that patch(1) found elsewhere than they say, with how many lines further down."""
    return [
        f"hunk {hunk['number']} of {_file_before(said, hunk)} by {int(hunk['lines']):+d}"
        for hunk in _MOVED.finditer(said)
    ]


def _file_before(said: str, hunk: re.Match[str]) -> str:
    files = [match["path"] for match in _FILE.finditer(said, 0, hunk.start())]
    return files[-1] if files else "?"


def refusal(said: str) -> str:
    """What patch(1) complained of first, in one line: hunk, line and file where it says so."""
    hunk = _HUNK.search(said)
    if hunk is not None:
        return f"hunk {hunk['number']} of {_file_before(said, hunk)}, line {hunk['line']}"
    missing = re.search(r"can't find file to patch at input line (\d+)", said)
    if missing is not None:
        absent = re.search(r"^\|\+\+\+ [^/\s]+/(\S+)", said, re.MULTILINE)
        return f"there is no {absent[1] if absent else 'such file'}"
    return " ".join(said.split())[:200] or "no word why"


def _put(target: Path, content_at: Path) -> None:
    """Give ``target`` the content of ``wanted``, as a new file, unless it has it already."""
    if not content_at.exists():
        target.unlink(missing_ok=True)
        return
    content = content_at.read_bytes()
    if not target.exists() or target.read_bytes() != content:
        write_whole(target, content)
        target.chmod(content_at.stat().st_mode & 0o777)
