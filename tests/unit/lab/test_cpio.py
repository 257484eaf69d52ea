# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The initramfs writer: what the kernel's parser will read back."""

from __future__ import annotations

import stat

from vmad.lab.guest.cpio import archive, character_device, directory, regular, symlink


def read_back(content: bytes) -> list[tuple[str, int, bytes, tuple[int, int]]]:
    """Parse as init/initramfs.c does: 110 bytes of header, name, body, each padded to 4."""
    members, at = [], 0
    while at < len(content):
        if content[at] == 0:
            at += 1
            continue
        assert content[at : at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = content[at + 110 : at + 110 + fields[11] - 1].decode()
        body = at + (110 + fields[11] + 3) // 4 * 4
        members.append((name, fields[1], content[body : body + fields[6]], (fields[9], fields[10])))
        at = body + (fields[6] + 3) // 4 * 4
    return members


def test_members_come_back_with_their_modes_and_content() -> None:
    written = archive(
        [
            directory("bin"),
            regular("bin/sh", b"\x7fELF?", executable=True),
            regular("empty", b""),
            symlink("bin/cat", "sh"),
            character_device("dev/console", 5, 1),
        ]
    )
    assert read_back(written) == [
        ("bin", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("bin/sh", stat.S_IFREG | 0o755, b"\x7fELF?", (0, 0)),
        ("empty", stat.S_IFREG | 0o644, b"", (0, 0)),
        ("bin/cat", stat.S_IFLNK | 0o777, b"sh", (0, 0)),
        ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
        ("TRAILER!!!", 0, b"", (0, 0)),
    ]


def test_joined_archives_are_both_read() -> None:
    joined = archive([regular("one", b"1")]) + archive([regular("two", b"22")])
    names = [name for name, *_ in read_back(joined)]
    assert names == ["one", "TRAILER!!!", "two", "TRAILER!!!"]


def test_same_members_give_same_bytes() -> None:
    assert archive([regular("a", b"x")]) == archive([regular("a", b"x")])
