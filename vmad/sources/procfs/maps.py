# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parsing /proc/PID/maps with NumPy: whole buffers of many processes at once, no object per line.

A line is (fs/proc/task_mmu.c, show_map_vma; the same from 5.10 to 7.x)

    START-END PERMS OFFSET MAJOR:MINOR INODE NAME

START, END and OFFSET have at least 8 hex digits, MAJOR and MINOR at least 2. The kernel escapes a
newline in a path as \\012, so a newline always ends a line. NAME is padded to a fixed column, or
follows a longer head after one more space, and never begins with a space. Lines whose addresses
have the same widths (nearly all) are tables of fixed columns; the rest is found by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vmad.model.kinds import Kind
from vmad.sources.procfs.text import U64, Bools, Bytes, Index, Text, hex8, number_of

U8 = npt.NDArray[np.uint8]

#: where NAME begins on a 64-bit kernel unless the head is longer: seq_setwidth(m, 25 + 6 * 8 - 1)
NAME_COLUMN = 73

_DASH, _SPACE, _COLON, _NEWLINE, _DIGIT_0 = b"- :\n0"
_WIDTHS = (12, 8, 9, 10, 11, 13, 14, 15, 16)

_ACCESS_KIND = np.array(
    [Kind.ANON_WRITABLE if p & 2 else Kind.ANON_OTHER if p & 7 else Kind.ANON_NO_ACCESS
     for p in range(8)] + [Kind.SPECIAL] * 8,
    np.uint8,
)  # fmt: skip


@dataclass(frozen=True)
class MapsColumns:
    """The lines of a text, one element per line in every array.

    - start, end: bytes, worked out when asked for; start_digits, end_digits: the same as text, two
      words each, shape (2, n), enough to compare; perms: bit 0 r, 1 w, 2 x, 3 shared; kind: a Kind
    - anonymous: private anonymous memory, so it may be half of a pair
    - named: has an [anon:NAME]; labelled: [heap] or [stack], which hide a name
    - device_zero: a private mapping of /dev/zero (anonymous, but with a vm_file)
    - file: MAJOR:MINOR is not 00:00; gate: the [vsyscall] line, which is no VMA
    - malformed: not a line of maps; its other columns mean nothing
    - line, space, name, line_end: positions in ``text``: START, the space before PERMS, and
      NAME, which is [name, line_end) and empty where there is none
    """

    text: Text
    line: Index
    space: Index
    line_end: Index
    name: Index
    start_digits: U64
    end_digits: U64
    perms: U8
    kind: U8
    anonymous: Bools
    named: Bools
    labelled: Bools
    device_zero: Bools
    file: Bools
    gate: Bools
    malformed: Bools

    def __len__(self) -> int:
        return len(self.line)

    @cached_property
    def start(self) -> U64:
        """First byte of each."""
        return _number(self.start_digits)

    @cached_property
    def end(self) -> U64:
        """Byte after the last of each."""
        return _number(self.end_digits)

    def touching(self) -> Bools:
        """For each line but the first: whether it starts where the line before ends."""
        high, low = self.end_digits[:, :-1] == self.start_digits[:, 1:]
        result: Bools = high & low
        return result

    def offsets(self, rows: Index) -> U64:
        """OFFSET of some lines, bytes."""
        at = self.space[rows] + 6
        width = self.text.width_until(at, _SPACE, (8, 9, 10, 11, 12, 13, 14, 15, 16))
        return self.text.hexadecimal(at + width, width)

    def name_bytes(self, row: int) -> bytes:
        """NAME of one line as it stands in maps, with its escapes."""
        return self.text.bytes[self.name[row] : self.line_end[row]].tobytes()


def parse_maps(buffer: Bytes, begin: int, end: int, shared_devices: U64) -> MapsColumns:
    """The columns of ``buffer[begin:end]``, which must be whole lines with PAD bytes around them.

    ``shared_devices`` are the device numbers (MAJOR << 20 | MINOR, as the kernel's MKDEV) whose
    files are shared memory, see :mod:`vmad.sources.procfs.devices`.
    """
    text = Text(buffer)
    line_end = np.flatnonzero(buffer[begin:end] == _NEWLINE)
    line_end += begin
    count = len(line_end)
    line = np.empty_like(line_end)
    if count:
        line[0] = begin
        np.add(line_end[:-1], 1, out=line[1:])

    heads = _Heads(count)
    # take all lines as if both addresses had 12 digits, as nearly all do, then read the others anew
    heads.read(text, line, slice(None), 12, 12)
    others = np.flatnonzero((buffer[line + 12] != _DASH) | (buffer[line + 25] != _SPACE))
    if len(others):
        heads.head[others] = 0
        width = text.width_until(line[others], _DASH, _WIDTHS)
        width_b = text.width_until(line[others] + width + 1, _SPACE, _WIDTHS)
        for pair in set(zip(width.tolist(), width_b.tolist(), strict=True)):
            rows = others[(width == pair[0]) & (width_b == pair[1])]
            heads.read(text, line[rows], rows, *pair)
    space = line + heads.head
    malformed = (heads.head == 0) | (space + 22 > line_end)

    nameless = heads.no_file & (space + 23 == line_end)
    perms = heads.perms
    columns = MapsColumns(
        text=text,
        line=line,
        space=space,
        line_end=line_end,
        name=line_end.copy(),
        start_digits=heads.start,
        end_digits=heads.end,
        perms=perms,
        kind=_ACCESS_KIND[perms],
        anonymous=nameless & (perms < 8),
        named=np.zeros(count, np.bool_),
        labelled=np.zeros(count, np.bool_),
        device_zero=np.zeros(count, np.bool_),
        file=np.zeros(count, np.bool_),
        gate=np.zeros(count, np.bool_),
        malformed=malformed,
    )
    rest = ~(nameless | malformed)
    _label_named(columns, np.flatnonzero(rest & heads.no_file))
    _tell_files(columns, np.flatnonzero(rest & ~heads.no_file), heads.after, shared_devices)
    columns.anonymous[malformed] = False
    return columns


class _Heads:
    """START-END PERMS of every line, and the 16 bytes after PERMS that tell "no file"."""

    def __init__(self, count: int) -> None:
        self.head = np.zeros(count, np.intp)  # width of START-END, 0 where it is malformed
        self.start = np.zeros((2, count), np.uint64)
        self.end = np.zeros((2, count), np.uint64)
        self.perms = np.zeros(count, np.uint8)
        self.no_file = np.zeros(count, np.bool_)
        self.after = np.zeros(count, np.uint64)  # last digit of OFFSET, " MM:mm " when usual

    def read(self, text: Text, line: Index, rows: Index | slice, width: int, width_b: int) -> None:
        """Fill in ``rows``, whose lines begin at ``line`` and have these address widths."""
        if not (width and width_b and len(line)):
            return
        front = 16  # so that a word of 8 digits and the one before it always lie in the record
        dash = front + width
        space = dash + 1 + width_b
        places = {
            "a_high": (dash - 16, "<u8"), "a_low": (dash - 8, "<u8"),
            "b_high": (space - 16, "<u8"), "b_low": (space - 8, "<u8"),
            "perms": (space + 1, "<u4"),
            "offset": (space + 5, "<u8"), "device": (space + 13, "<u8"),
            "inode": (space + 21, "<u2"),
        }  # fmt: skip
        record = np.dtype(
            {
                "names": list(places),
                "formats": [form for _, form in places.values()],
                "offsets": [offset for offset, _ in places.values()],
                "itemsize": space + 24,
            }
        )
        fields = text.records(line - front, space + 24).view(record)[:, 0]
        self.start[0, rows] = fields["a_high"] & _keep_last(width - 8)
        self.start[1, rows] = fields["a_low"] & _keep_last(width)
        self.end[0, rows] = fields["b_high"] & _keep_last(width_b - 8)
        self.end[1, rows] = fields["b_low"] & _keep_last(width_b)
        self.head[rows] = space - front

        # r w x differ from '-' in bit 6, 's' from 'p' in bit 0
        mode = fields["perms"].copy()
        perms = mode >> np.uint32(6) & np.uint32(1)
        perms |= mode >> np.uint32(13) & np.uint32(2)
        perms |= mode >> np.uint32(20) & np.uint32(4)
        perms |= mode >> np.uint32(21) & np.uint32(8)
        self.perms[rows] = perms
        device = fields["device"].copy()
        self.after[rows] = device
        self.no_file[rows] = (
            (device == number_of(b"0 00:00 "))
            & (fields["offset"] == number_of(b" 0000000"))
            & (fields["inode"] == int(number_of(b"0 ")))
        )


def _number(digits: U64) -> U64:
    high, low = hex8(digits)
    result: U64 = high << np.uint64(32) | low
    return result


def _keep_last(digits: int) -> np.uint64:
    """Mask that keeps the last ``digits`` characters of a word: all from 8 on, none up to 0."""
    gone = 8 * (8 - min(max(digits, 0), 8))
    return np.uint64((1 << 64) - (1 << gone))


def _find_names(columns: MapsColumns, rows: Index, inode: Index, longest: int) -> None:
    """Set ``name`` of ``rows``: the first character that is no space after INODE.

    ``inode`` is where INODE begins; it has at most ``longest`` digits here.
    """
    text, line_end = columns.text.bytes, columns.line_end[rows]
    at = columns.line[rows] + NAME_COLUMN
    # where the head surely ends before the column, NAME is there
    padded = (inode + (longest + 1) <= at) & (at < line_end)
    padded &= (text[at - 1] == _SPACE) & (text[at] != _SPACE)
    left = np.flatnonzero(~padded)
    for low, high in ((_DIGIT_0, _DIGIT_0 + 9), (_SPACE, _SPACE)):  # the digits, then the spaces
        going = left
        at[left] = inode[left] if low == _DIGIT_0 else at[left]
        while len(going):
            byte = text[at[going]]
            going = going[(byte >= low) & (byte <= high) & (at[going] < line_end[going])]
            at[going] += 1
    columns.name[rows] = at


def _label_named(columns: MapsColumns, rows: Index) -> None:
    """Lines without a file but with a name: heap, stack, [anon:NAME], [vsyscall], special."""
    if not len(rows):
        return
    _find_names(columns, rows, columns.space[rows] + 21, 1)
    text, name = columns.text, columns.name[rows]
    private = columns.perms[rows] < 8
    first = text.words(name)
    heap = text.starts_with(name, b"[heap]\n", first) & private
    stack = text.starts_with(name, b"[stack]\n", first) & private
    named = text.starts_with(name, b"[anon:", first) & private
    by_access = named | ((name == columns.line_end[rows]) & private)
    kind = np.where(by_access, columns.kind[rows], np.uint8(Kind.SPECIAL))
    kind[heap] = Kind.HEAP
    kind[stack] = Kind.STACK
    columns.kind[rows] = kind
    columns.anonymous[rows] = heap | stack | by_access
    columns.labelled[rows] = heap | stack
    columns.named[rows] = named
    columns.gate[rows] = text.starts_with(name, b"[vsyscall]\n", first)


def _devices(columns: MapsColumns, rows: Index, after: U64) -> tuple[U64, Index]:
    """(MAJOR << 20 | MINOR, position of INODE) of lines with a file; position 0 is malformed."""
    space = columns.space[rows]
    shape = after & number_of(b"\0\xff\0\0\xff\0\0\xff")
    usual = shape == number_of(b"\0 \0\0:\0\0 ")
    # two digits each: blank out all but them, then MAJOR is digits 3-4 and MINOR 6-7 of eight
    digits = hex8(after & number_of(b"\0\0\xff\xff\0\xff\xff\0"))
    device = (digits >> np.uint64(16) & np.uint64(0xFF)) << np.uint64(20)
    device |= digits >> np.uint64(4) & np.uint64(0xFF)
    inode = space + 21
    odd = np.flatnonzero(~usual)
    if len(odd):
        text, at = columns.text, space[odd] + 6
        at += text.width_until(at, _SPACE, (8, 9, 10, 11, 12, 13, 14, 15, 16)) + 1
        width = text.width_until(at, _COLON, (2, 3, 4, 5))
        minor = at + width + 1
        width_b = text.width_until(minor, _SPACE, (2, 3, 4, 5))
        device[odd] = text.hexadecimal(at + width, width) << np.uint64(20)
        device[odd] |= text.hexadecimal(minor + width_b, width_b)
        end = minor + width_b + 1
        bad = (width == 0) | (width_b == 0) | (end >= columns.line_end[rows[odd]])
        inode[odd] = np.where(bad, 0, end)
    return device, inode


def _tell_files(columns: MapsColumns, rows: Index, after: U64, shared_devices: U64) -> None:
    """Lines with a file: shared memory, deleted, /dev/zero, or any other."""
    if not len(rows):
        return
    device, inode = _devices(columns, rows, after[rows])
    bad = inode == 0
    if bad.any():
        columns.malformed[rows[bad]] = True
        rows, device, inode = rows[~bad], device[~bad], inode[~bad]
    _find_names(columns, rows, inode, 20)

    text, name, line_end = columns.text, columns.name[rows], columns.line_end[rows]
    first = text.words(name)
    shared = np.isin(device, shared_devices)
    for prefix in (b"/dev/shm/", b"/memfd:", b"/SYSV", b"/anon_hugepage", b"[anon_shmem:"):
        shared |= text.starts_with(name, prefix, first)
    deleted = text.starts_with(line_end - 10, b" (deleted)") & (line_end - 10 > name)
    zero = text.starts_with(name, b"/dev/zero\n", first) & (columns.perms[rows] < 8)
    kind = np.full(len(rows), Kind.FILE, np.uint8)
    kind[deleted] = Kind.FILE_DELETED
    kind[shared] = Kind.SHARED_MEMORY
    kind[device == 0] = Kind.SPECIAL  # neither a file nor memory that maps calls anonymous
    kind[zero] = columns.kind[rows][zero]
    columns.kind[rows] = kind
    columns.file[rows] = device != 0
    columns.anonymous[rows] = zero
    columns.device_zero[rows] = zero
