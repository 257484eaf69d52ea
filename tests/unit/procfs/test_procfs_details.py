# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""stat, smaps, numa_maps, mountinfo and errors: texts with known answers."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.procfs.maps_lines import Line, text_of
from vmad.errors import CannotRead, ProcessGone
from vmad.model import facts as f
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId, Unread
from vmad.sources.procfs.devices import mounted
from vmad.sources.procfs.name import path_text
from vmad.sources.procfs.numa_maps import compare_policies, parse_numa_maps
from vmad.sources.procfs.rights import explained, missing_right, why_unread
from vmad.sources.procfs.smaps import UNNAMED, parse_smaps
from vmad.sources.procfs.stat import parse_stat
from vmad.sources.procfs.table import Evidences, table_of

K61, K618 = KernelInfo("6.1.0-56-cloud-amd64", page_shift=12), KernelInfo("6.18.3", page_shift=12)


def stat_line(comm: bytes, state: str = "S", flags: int = 0, parent: int = 1) -> bytes:
    fields = [state, str(parent), "0", "0", "0", "0", str(flags), *["0"] * 12, "4711", "8192", "9"]
    return b"12 (" + comm + b") " + " ".join(fields).encode() + b"\n"


@settings(deadline=None)
@given(st.binary(max_size=15))
def test_comm_may_hold_anything(comm: bytes) -> None:
    stat = parse_stat(stat_line(comm))
    assert (stat.comm, stat.start_time, stat.vsize) == (comm, 4711, 8192)


def test_kernel_threads_and_zombies_are_told() -> None:
    assert parse_stat(stat_line(b"kworker", flags=0x00208040)).kernel_thread
    assert not parse_stat(stat_line(b"helper", flags=0x00208040)).kernel_thread_for_ever
    assert parse_stat(stat_line(b"kswapd0", flags=0x00208040, parent=2)).kernel_thread_for_ever
    assert parse_stat(stat_line(b"z", state="Z")).dead
    assert not parse_stat(stat_line(b"s")).dead


@pytest.mark.parametrize("text", [b"", b"12 (comm", b"12 (comm) S 1", b"nothing"])
def test_what_is_no_stat_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_stat(text)


def smaps_of(*records: tuple[Line, str, dict[str, int]]) -> bytes:
    text = b""
    for line, flags, fields in records:
        body = {"Size": 4, "Shared_Dirty": 0, "Anonymous": 0, "Swap": 0, **fields}
        text += line.render()
        for name, value in body.items():
            unit = "" if name == "ProtectionKey" else " kB"
            text += f"{name + ':':16}{value:8}{unit}\n".encode()
        text += f"THPeligible:           0\nVmFlags: {flags} \n".encode()
    return text


A, B = Line(0x10000, 0x11000), Line(0x11000, 0x12000)


def facts_of(
    a: str,
    b: str,
    kernel: KernelInfo = K618,
    *,
    lower: Line = A,
    unseen: bool = False,
    **fields: int,
) -> int:
    smaps = parse_smaps([smaps_of((lower, a, {}), (B, b, fields))], kernel)
    table = table_of(
        ProcessId(1, 1),
        comm="x",
        read=Evidences(smaps.lines, smaps, None),
        kernel=kernel,
        shared_devices=np.zeros(0, np.uint64),
        names_exist=False,
        heap_differs_unseen=unseen,
        hints=lambda *_: np.zeros(1, np.int64),
    )
    return int(table.rows["facts"][1])


def test_smaps_cut_anywhere_reads_the_same() -> None:
    named = Line(0x20000, 0x21000, device=(8, 1), inode=1, name=b"/x\nVmFlags: rd wr ")
    text = smaps_of((A, "rd wr", {}), (named, "rd", {"Swap": 4}), (B, "rd ex", {"Anonymous": 4}))
    whole = parse_smaps([text], K618)
    assert whole.flags.tolist() == [3, 1, 5]
    assert whole.faulted.tolist() == [False, True, True]
    for size in (1, 7, 100):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        again = parse_smaps(pieces, K618)
        assert again.lines == whole.lines == text_of(A, named, B)
        assert again.flags.tolist() == whole.flags.tolist()


def test_smaps_flags_are_raw_bits_of_the_release() -> None:
    text = smaps_of((A, "rd sl ui ac", {}), (B, "zz ??", {"ProtectionKey": 5}))
    assert parse_smaps([text], K618).flags.tolist() == [
        1 | 1 << 42 | 1 << 41 | 1 << 20,
        UNNAMED | 5 << 32,
    ]


def test_flags_that_differ_are_named_and_known() -> None:
    facts = facts_of("rd wr ac", "rd wr ac dd")
    assert f.flags_differing(facts) == 1 << 26
    assert not facts & (f.UNKNOWN_FLAGS | f.UNKNOWN_UFFD | f.UFFD | f.SPECIAL)


def test_a_protection_key_is_a_flag_that_differs() -> None:
    assert f.flags_differing(facts_of("rd", "rd", ProtectionKey=2)) == 1 << 22


def test_an_arm_kernels_flags_are_its_own() -> None:
    arm = KernelInfo("6.18.3", "aarch64", page_shift=12)
    text = smaps_of((A, "rd bt mt ss", {}), (B, "rd", {"ProtectionKey": 5}))

    assert parse_smaps([text], arm).flags.tolist() == [1 | 1 << 24 | 1 << 36 | 1 << 38, 1 | 5 << 32]


def test_a_flag_of_the_heap_that_smaps_hides_leaves_its_pairs_open() -> None:
    heap = Line(A.start, A.end, name=b"[heap]")
    arm = KernelInfo("6.18.3", "aarch64", page_shift=12)

    assert facts_of("rd wr", "rd wr", arm, lower=heap, unseen=True) & f.UNKNOWN_FLAGS
    assert not facts_of("rd wr", "rd wr", arm, lower=heap) & f.UNKNOWN_FLAGS
    assert not facts_of("rd wr", "rd wr", arm, unseen=True) & f.UNKNOWN_FLAGS


def test_an_unnamed_flag_on_one_side_differs_on_both_it_stays_unknown() -> None:
    one = facts_of("rd ??", "rd", K61)
    assert f.flags_differing(one) == 1 << 23
    assert not one & f.UNKNOWN_FLAGS
    both = facts_of("rd ??", "rd ??", K61)
    assert f.flags_differing(both) == 0
    assert both & f.UNKNOWN_FLAGS


def test_special_and_userfaultfd_follow_from_flags() -> None:
    assert facts_of("rd", "rd io") & f.SPECIAL
    assert facts_of("rd um", "rd") & (f.UFFD | f.UNKNOWN_UFFD) == f.UFFD
    assert facts_of("rd uw", "rd uw") & (f.UFFD | f.UNKNOWN_UFFD) == f.UNKNOWN_UFFD
    assert facts_of("rd ui", "rd") & (f.UFFD | f.UNKNOWN_UFFD) == f.UFFD


def test_numa_policies_are_read_with_their_spaces() -> None:
    text = (
        b"10000 default anon=1 dirty=1 N0=1 kernelpagesize_kB=4\n"
        b"11000 prefer (many):0-1 file=/x default\n"
        b"12000 bind=static:0 heap\n"
        b"13000 weighted interleave:0\n"
    )
    assert parse_numa_maps(text) == {
        0x10000: b"default",
        0x11000: b"prefer (many):0-1",
        0x12000: b"bind=static:0",
        0x13000: b"weighted interleave:0",
    }


def test_equal_policy_texts_prove_equality_only_for_default() -> None:
    texts = [b"default", b"bind:0", b"bind:0", b"default", b"default"]
    policies = dict(enumerate(texts))
    starts = np.arange(6, dtype=np.uint64)  # of the last one nothing is known
    differ, equal = compare_policies(policies, starts[:-1], starts[1:])
    assert differ.tolist() == [True, False, True, False, False]
    assert equal.tolist() == [False, False, False, True, False]


def test_mounts_of_tmpfs_and_hugetlbfs_are_found_whatever_their_paths() -> None:
    text = (
        b"22 1 0:21 / /proc rw shared:1 - proc proc rw\n"
        b"25 24 0:259 / /a\\040- rw - tmpfs tmpfs rw\n"
        b"26 24 0:24 / /b rw,relatime shared:3 master:1 - hugetlbfs - rw\n"
        b"27 24 259:3 / /c rw - ext4 tmpfs rw\n"
    )
    assert mounted(text) == {259, 24}


def test_paths_are_unescaped() -> None:
    assert path_text(b"/a\\012b") == "/a\nb"
    assert os.fsencode(path_text(b"/\xff")) == b"/\xff"


def test_errors_name_place_cause_and_remedy() -> None:
    denied = OSError(errno.EACCES, os.strerror(errno.EACCES))
    error = explained(denied, 12, "maps", K61)
    assert isinstance(error, CannotRead)
    assert str(error) == "/proc/12/maps: permission denied; needs CAP_SYS_PTRACE"
    assert missing_right("maps", K618) == "needs CAP_SYS_PTRACE or CAP_PERFMON"
    assert missing_right("pagemap", K61) == "needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"
    assert isinstance(explained(OSError(errno.ESRCH, ""), 12, "maps", K61), ProcessGone)
    assert why_unread(OSError(errno.EIO, "")) is Unread.ERROR
    assert why_unread(OSError(errno.EPERM, "")) is Unread.PERMISSION
    assert why_unread(OSError(errno.ENOENT, "")) is Unread.GONE
