# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What Debian's package indices say, as far as the lab needs it: pure text to values.

The format is that of deb-src-control(5): paragraphs of ``Field: value``, an empty line between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmad.lab.errors import LabError


@dataclass(frozen=True)
class Package:
    """One binary package that the mirror holds; size in bytes, hash in hex."""

    name: str
    version: str
    size: int
    sha256: str


def packages_named(lines: Iterable[str], wanted: re.Pattern[str]) -> Iterator[Package]:
    """The packages of an index whose whole name matches ``wanted``. Raises LabError."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("Package: "):
            name = line[9:].strip()
            fields = {}
        elif not name:
            continue
        elif line in ("", "\n"):
            if wanted.fullmatch(name):
                yield _package(name, fields)
            name = ""
        elif line.startswith(("Version: ", "Size: ", "SHA256: ")):
            field, _, value = line.partition(": ")
            fields[field] = value.strip()
    if name and wanted.fullmatch(name):
        yield _package(name, fields)


#: field -> what it must look like: deb-version(7), bytes, hex digits
_FIELDS = {
    "Version": re.compile(r"[0-9A-Za-z.+:~-]{1,200}"),
    "Size": re.compile(r"[0-9]{1,15}"),
    "SHA256": re.compile(r"[0-9a-f]{64}"),
}


def _package(name: str, fields: dict[str, str]) -> Package:
    """Raises LabError for a paragraph without what a download needs."""
    for field, form in _FIELDS.items():
        if not form.fullmatch(fields.get(field, "")):
            said = f"{field}: {fields[field]!r}" if field in fields else f"no {field}"
            raise LabError(
                f"the package index is damaged: {name} has {said}",
                "try another mirror, or again later with `vmad lab kernels --refresh`",
            )
    return Package(name, fields["Version"], int(fields["Size"]), fields["SHA256"])


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions as deb-version(7) does: digits by value, ``~`` before the end of the text.

    Epochs are not handled; no kernel has one.
    """
    key: list[tuple[int, int, str]] = []
    for text, digits in re.findall(r"([^0-9]*)([0-9]*)", version):
        key.extend((0 if sign == "~" else 3, 0, sign) for sign in text)
        if digits:
            key.append((2, int(digits), ""))
    return (*key, (1, 0, ""))
