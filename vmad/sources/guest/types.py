# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Types for a kernel whose memory holds none (no CONFIG_DEBUG_INFO_BTF): files on this machine.

A file is BTF as it is (a copy of /sys/kernel/btf/vmlinux), or an ELF file with a section .BTF:
a vmlinux of distributions and of builds with pahole has one, beside its DWARF or without it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmad.errors import TargetUnavailable
from vmad.sources.guest.btf import BEGINNING, BEGINNING_SIZE, LARGEST, BadBtf, Btf

_DEBUG = Path("/usr/lib/debug")
#: bytes of an ELF file's names and notes
_LARGEST_PART = 1 << 20
_NOTE_BUILD_ID = b"\x03\0\0\0GNU\0"


@dataclass(frozen=True, slots=True)
class Types:
    """Where to look: in ``path`` alone, or where debug information is kept."""

    path: str | None = None

    def find(self, what: str, release: str, build_ids: tuple[str, ...]) -> tuple[Btf, str]:
        """(types of a build, where they are from); ``what`` names guest and kernel.

        Raises TargetUnavailable.
        """
        wanted = " or ".join(build_ids) if build_ids else "unknown"
        if self.path is not None:
            return self._given(what, self.path, build_ids, wanted)
        for candidate in _candidates(release, build_ids):
            try:
                btf, build_id = read_types(candidate)
            except (OSError, BadBtf):
                continue
            if build_id is None or build_id in build_ids:
                return btf, str(candidate)
        raise TargetUnavailable(
            f"{what} holds no BTF (CONFIG_DEBUG_INFO_BTF), and no debug information of build "
            f"{wanted} is in {_DEBUG}",
            "name its vmlinux, with a section .BTF (pahole -J makes one), or a BTF file: "
            "--types FILE",
        )

    def _given(
        self, what: str, path: str, build_ids: tuple[str, ...], wanted: str
    ) -> tuple[Btf, str]:
        try:
            btf, build_id = read_types(Path(path))
        except OSError as error:
            raise TargetUnavailable(f"{path}: {error.strerror}", "name a file of types") from error
        except BadBtf as error:
            raise TargetUnavailable(
                f"{path}: {error}", "name a vmlinux with a section .BTF, or a BTF file"
            ) from error
        if build_id is not None and build_ids and build_id not in build_ids:
            raise TargetUnavailable(
                f"{path}: is of another build ({build_id}); {what} is build {wanted}",
                "name the file of that very build",
            )
        return btf, path


def _candidates(release: str, build_ids: tuple[str, ...]) -> Iterator[Path]:
    """Where distributions put debug information (GDB manual, Separate Debug Files; drgn(1))."""
    for build_id in build_ids:
        below = _DEBUG / ".build-id" / build_id[:2]
        yield below / f"{build_id[2:]}.debug"
        yield Path(os.path.expanduser("~/.cache/debuginfod_client"), build_id, "debuginfo")
    yield _DEBUG / "boot" / f"vmlinux-{release}"
    yield _DEBUG / "lib" / "modules" / release / "vmlinux"
    yield Path("/lib/modules", release, "build", "vmlinux")


def read_types(path: Path) -> tuple[Btf, str | None]:
    """(types, build-id or None) of a file. Raises OSError, BadBtf."""
    with path.open("rb") as file:
        if BEGINNING.match(file.read(BEGINNING_SIZE)):
            file.seek(0)
            return Btf(file.read(LARGEST)), None
        file.seek(0)
        sections = dict(_sections(file.fileno()))
        raw = sections.get(".BTF")
        if raw is None:
            raise BadBtf("has no section .BTF")
        btf = Btf(_part(file.fileno(), raw, LARGEST))
        build_id = None
        for name in (".note.gnu.build-id", ".notes"):
            if name in sections:
                note = _part(file.fileno(), sections[name], _LARGEST_PART)
                at = note.find(_NOTE_BUILD_ID)
                if at >= 4:
                    size = struct.unpack_from("<I", note, at - 4)[0]
                    build_id = note[at + 8 : at + 8 + size].hex()
                    break
        return btf, build_id


def _part(fd: int, place: tuple[int, int], largest: int) -> bytes:
    """Bytes of a file at (offset, size), at most so many. Raises BadBtf, OSError."""
    offset, size = place
    if offset >= 1 << 62:
        raise BadBtf("is a damaged ELF file")
    return os.pread(fd, min(size, largest), offset)


def _sections(fd: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """(name, (offset, size)) of each section of a 64-bit little-endian ELF file (elf(5)).

    Raises BadBtf.
    """
    head = os.pread(fd, 64, 0)
    if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64:
        raise BadBtf("is neither BTF nor a 64-bit ELF file")
    try:
        (table,) = struct.unpack_from("<Q", head, 40)
        size, count, names_at = struct.unpack_from("<HHH", head, 58)
        raw = os.pread(fd, size * count, table)
        places = [struct.unpack_from("<II16xQQ", raw, size * n) for n in range(count)]
        names = _part(fd, (places[names_at][2], places[names_at][3]), _LARGEST_PART)
    except (struct.error, IndexError, OSError, OverflowError) as error:
        raise BadBtf("is a damaged ELF file") from error
    for name, kind, offset, length in places:
        if kind != 8:  # SHT_NOBITS: a file of debug information alone leaves code out
            yield names[name : names.find(b"\0", name)].decode("ascii", "replace"), (offset, length)
