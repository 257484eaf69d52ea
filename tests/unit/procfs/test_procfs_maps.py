# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parsing maps: every column of every line, whatever the names hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.procfs.maps_lines import SHM_DEVICE, Line, columns_of, text_of
from vmad.model.kinds import Kind

addresses = st.one_of(
    st.integers(0x10000, 1 << 32),
    st.integers(1 << 46, 1 << 47),
    st.integers(0x1000, 0xFFFF_FFFF_FFFF_F000),
)
perms = st.sampled_from([r + w + x + s for r in "r-" for w in "w-" for x in "x-" for s in "ps"])
hostile_names = st.one_of(
    st.sampled_from(
        [
            b"/tmp/a (deleted)", b"/tmp/a\nb", b"//anon", b"/x [heap]", b"/tmp/ /dev/zero",
            b"/tmp/[anon:x]", b"/a  b   (deleted)", b"/\\012", b"/7f00-8f00 rw-p 0 00:00 0",
            b"/memfd:x (deleted)", b"/SYSV00000000 (deleted)", b"/dev/zero", b"/dev/zero (deleted)",
            b"anon_inode:[perf_event]", b"socket:[1]", b"/" + b"\xff" * 300, b"/ ",
        ]
    ),
    st.binary(min_size=1, max_size=200).map(lambda name: b"/" + name.replace(b"\0", b"?")),
)  # fmt: skip
special_names = st.sampled_from(
    [b"[heap]", b"[stack]", b"[vdso]", b"[vvar]", b"[vsyscall]", b"[uprobes]", b"[anon:a b]",
     b"[anon:]]", b"[anon:x\t]", b"[heap]x", b"[anon_shmem:x]"]
)  # fmt: skip


@st.composite
def any_line(draw: st.DrawFn) -> Line:
    start = draw(addresses) & ~0xFFF
    end = min(start + (draw(st.integers(1, 1 << 30)) << 12), (1 << 64) - 4096)
    mode = draw(perms)
    if draw(st.booleans()):
        name = draw(st.one_of(st.just(b""), special_names))
        return Line(start, end, mode, name=name)
    return Line(
        start,
        end,
        mode,
        offset=draw(st.one_of(st.just(0), st.integers(0, 1 << 63))) & ~0xFFF,
        device=(draw(st.integers(0, 0xFFF)), draw(st.integers(1, 0xFFFFF))),
        inode=draw(st.integers(1, (1 << 64) - 1)),
        name=draw(hostile_names),
    )


def expected_kind(line: Line) -> Kind:
    """The kinds spelled out a second time, the slow way."""
    name = line.name.replace(b"\n", b"\\012")
    by_access = (
        Kind.ANON_WRITABLE
        if line.perms[1] == "w"
        else Kind.ANON_NO_ACCESS
        if line.perms[:3] == "---"
        else Kind.ANON_OTHER
    )
    private = line.perms[3] == "p"
    if line.device != (0, 0):
        if name == b"/dev/zero" and private:
            return by_access
        shared = (b"/dev/shm/", b"/memfd:", b"/SYSV", b"/anon_hugepage", b"[anon_shmem:")
        if line.device == SHM_DEVICE or name.startswith(shared):
            return Kind.SHARED_MEMORY
        return Kind.FILE_DELETED if name.endswith(b" (deleted)") else Kind.FILE
    if not private:
        return Kind.SPECIAL
    if name in (b"[heap]", b"[stack]"):
        return Kind.HEAP if name == b"[heap]" else Kind.STACK
    return by_access if not name or name.startswith(b"[anon:") else Kind.SPECIAL


@settings(deadline=None)
@given(st.lists(any_line(), max_size=12))
def test_every_line_of_a_hostile_text_is_read_back(lines: list[Line]) -> None:
    columns = columns_of(text_of(*lines))
    assert columns.malformed.tolist() == [False] * len(lines)
    assert columns.start.tolist() == [line.start for line in lines]
    assert columns.end.tolist() == [line.end for line in lines]
    assert [columns.name_bytes(row) for row in range(len(lines))] == [
        line.name.replace(b"\n", b"\\012") for line in lines
    ]
    modes = ["".join(c if p >> i & 1 else "-" for i, c in enumerate("rwx")) + "ps"[p >> 3]
             for p in columns.perms.tolist()]  # fmt: skip
    assert modes == [line.perms for line in lines]
    assert [Kind(kind) for kind in columns.kind.tolist()] == [expected_kind(line) for line in lines]
    assert columns.gate.tolist() == [line.name == b"[vsyscall]" for line in lines]
    files = [row for row, line in enumerate(lines) if line.device != (0, 0)]
    assert columns.file.nonzero()[0].tolist() == files
    offsets = columns.offsets(columns.file.nonzero()[0]).tolist()
    assert offsets == [lines[row].offset for row in files]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=120).map(lambda b: b.replace(b"\n", b"")), max_size=8))
def test_what_is_no_maps_line_is_malformed_and_never_an_error(lines: list[bytes]) -> None:
    good = Line(0x7F0000001000, 0x7F0000002000)
    columns = columns_of(b"".join(line + b"\n" for line in lines) + good.render())
    assert len(columns) == len(lines) + 1
    assert not columns.malformed[-1]
    assert columns.start[-1] == good.start


@pytest.mark.parametrize("line", [b"", b"\0" * 50, b"zz-yy rw-p", b"7f0000001000-", b"-" * 80])
def test_garbage_is_malformed(line: bytes) -> None:
    assert columns_of(line + b"\n").malformed.tolist() == [True]


def test_an_empty_text_has_no_lines() -> None:
    assert len(columns_of(b"")) == 0


def test_a_32_bit_process_is_read() -> None:
    columns = columns_of(
        text_of(Line(0x08048000, 0x0804C000, "r-xp"), Line(0xFFF00000, 0xFFFFE000))
    )
    assert columns.start.tolist() == [0x08048000, 0xFFF00000]
    assert columns.end.tolist() == [0x0804C000, 0xFFFFE000]


def test_a_name_at_the_column_of_a_32_bit_kernel_is_found() -> None:
    head = b"08048000-0804c000 r-xp 00000000 08:01 123456".ljust(48) + b" /bin/true\n"
    assert columns_of(head).name_bytes(0) == b"/bin/true"


def test_private_dev_zero_is_anonymous_with_a_file() -> None:
    columns = columns_of(text_of(Line(0x1000, 0x2000, device=(0, 6), inode=4, name=b"/dev/zero")))
    assert columns.anonymous.tolist() == [True]
    assert columns.device_zero.tolist() == [True]
    assert columns.kind.tolist() == [Kind.ANON_WRITABLE]


def test_an_unlinked_file_on_tmpfs_is_shared_memory_not_a_deleted_file() -> None:
    line = Line(0x1000, 0x2000, device=SHM_DEVICE, inode=9, name=b"/memfd:x (deleted)")
    assert columns_of(text_of(line)).kind.tolist() == [Kind.SHARED_MEMORY]


def test_the_last_word_of_a_name_can_be_deleted() -> None:
    line = Line(0x1000, 0x2000, device=(8, 1), inode=9, name=b"/x")
    literal = Line(0x1000, 0x2000, device=(8, 1), inode=9, name=b" (deleted)")
    assert columns_of(text_of(line)).kind.tolist() == [Kind.FILE]
    assert columns_of(text_of(literal)).kind.tolist() == [Kind.FILE]
