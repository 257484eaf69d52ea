# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The highest map_count of each process, kept by BPF where VMAs are made, between two samples.

Only of processes beyond a share of the limit: the others pay a load and a comparison.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.attachment import NEAR, Attachment
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.caller import CALLER, Caller, caller_of, functions, settings, watchable
from vmad.sources.bpf.calls import CALLS
from vmad.sources.bpf.libbpf import loaded_programs
from vmad.sources.time_namespace import booted_at

HERE = Path(__file__).parent

#: how VMAs are watched -> object; the exact one first
WAYS: Final = {"lock": "bursts_lock.bpf.o", "fexit": "bursts_fexit.bpf.o"}
ROWS: Final = 1024
#: a row that has not risen for so long is taken out, for others; what it said is known here
IDLE_SECONDS: Final = 60.0

#: struct control of bursts.bpf.h
CONTROL: Final = np.dtype([("from", "<i4"), ("unused", "<u4"), ("risen", "<u8"), ("lost", "<u8")])
#: struct peak_key
KEY: Final = np.dtype([("start_boottime", "<u8"), ("tgid", "<u8")])
#: struct peak
PEAK: Final = np.dtype([("map_count", "<i8"), ("at", "<u8"), ("who", CALLER)])

_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Peak:
    """The most VMAs that a process had, which may be gone; at that Unix time."""

    who: Caller
    map_count: int
    at: float


class KernelBursts:
    """The attached programs, which watch from now on.

    ``way`` (of WAYS) is how. ``on_demand``: only while some process is near the limit, as
    ``most_is`` is told. Raises EvidenceUnavailable with what is missing.
    """

    def __init__(
        self,
        max_map_count: int | None,
        ways: Sequence[str] = tuple(WAYS),
        *,
        on_demand: bool = False,
    ) -> None:
        problems: list[str] = []
        remedy = None
        for way in ways:
            try:
                self._object, programs = _loaded(way)
                self._attachment = Attachment(self._object, programs, on_demand=on_demand)
                memory = self._object.map_memory(".data.control", CONTROL.itemsize)
            except EvidenceUnavailable as error:
                what = error.what.removeprefix(f"BPF: {WAYS[way]} ")
                problems.append(f"{way}: {what}")
                remedy = remedy or error.remedy
                continue
            except OSError as error:
                self._object.close()
                raise EvidenceUnavailable(f"bursts: {error.strerror}") from error
            self.way = way
            break
        else:
            raise EvidenceUnavailable("bursts: " + ", ".join(problems), remedy)
        self._control = np.frombuffer(memory, CONTROL, 1)
        self._rows = self._object.hash_map("peaks", KEY, PEAK)
        self._seen: dict[bytes, tuple[int, float]] = {}  #: key -> its count, monotonic seconds
        self._risen = 0
        self._limit: int | None = -1
        self.limit_is(max_map_count)

    def limit_is(self, max_map_count: int | None) -> None:
        """Look at processes beyond NEAR of this vm.max_map_count; None: at none."""
        if max_map_count == self._limit:
            return
        self._limit = max_map_count
        share = _LARGEST if max_map_count is None else int(max_map_count * NEAR)
        self._control["from"][0] = max(share, 1)

    @property
    def attached(self) -> bool:
        """Whether VMAs are watched at this moment."""
        return self._attachment.attached

    def most_is(self, map_count: int | None) -> None:
        """Some process has so many VMAs, and none has more. Raises EvidenceUnavailable."""
        self._attachment.most_is(map_count, self._limit)

    @property
    def lost(self) -> int:
        """Times that there was no room for a process."""
        return int(self._control["lost"][0])

    def try_reading(self) -> None:
        """Make the system call that ``read`` makes. Raises EvidenceUnavailable."""
        self._rows.items(ROWS)

    def read(self) -> list[Peak]:
        """Of each process that has risen above its highest since the last time, that highest.

        Without news it makes no system call. Raises EvidenceUnavailable as KernelFailures.read.
        """
        risen, now = int(self._control["risen"][0]), time.monotonic()
        peaks = []
        if risen != self._risen:
            boot = booted_at()
            for key, row in zip(*self._rows.items(ROWS), strict=True):
                known, count = key.tobytes(), int(row["map_count"])
                if count > self._seen.get(known, (0, 0.0))[0]:
                    self._seen[known] = count, now
                    at = boot + int(row["at"]) / 1e9
                    peaks.append(Peak(caller_of(row["who"]), count, at))
            self._risen = risen
        for known in [key for key, (_, when) in self._seen.items() if now - when > IDLE_SECONDS]:
            self._rows.delete(np.frombuffer(known, KEY)[0])
            del self._seen[known]
        return peaks

    def close(self) -> None:
        """Detach and unload."""
        self._object.close()


def is_watching() -> bool | None:
    """Whether some process has these programs in the kernel; None where that cannot be told."""
    names = loaded_programs()
    return None if names is None else bool({"vmad_lock_relea", "vmad_up_munmap"} & set(names))


def _loaded(way: str) -> tuple[BpfObject, list[str]]:
    """And the programs in it, in the order of attaching."""
    path = HERE / WAYS[way]
    programs, without = ["vmad_lock_released"], []
    if way == "lock":
        names = functions()
        if b"\0btf_trace_mmap_lock_released\0" not in names:
            raise EvidenceUnavailable("this kernel has no tracepoint of mmap_lock's release")
        # up to 6.13 the tracepoint names the memory cgroup, which costs more than everything else
        if b"\0trace_mmap_lock_reg\0" in names:
            raise EvidenceUnavailable("this kernel's tracepoint of mmap_lock is dear")
    else:
        there = watchable(CALLS)
        programs = [f"vmad_up_{call}" for call in CALLS if call in there]
        without = [f"vmad_up_{call}" for call in CALLS if call not in there]
    return BpfObject(path, settings(), since="5.11", without=without), programs
