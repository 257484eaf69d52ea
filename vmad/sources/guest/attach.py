# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a QMP socket to a guest whose kernel is known: connect, find the kernel, know its types."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.known import ARCHITECTURES, architecture_of
from vmad.architecture.x86_64 import X86_64
from vmad.errors import TargetUnavailable
from vmad.model.kernel import KernelInfo
from vmad.sources.guest import arm64
from vmad.sources.guest.btf import BadBtf, Btf, Bytes
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.census import first_namespace
from vmad.sources.guest.kernel import (
    Anchors,
    Banner,
    NoTypes,
    find_anchors,
    find_banner,
    find_btf,
    find_build_ids,
)
from vmad.sources.guest.layout import WrongTypes, layout_of
from vmad.sources.guest.memory import AddressSpace, Torn
from vmad.sources.guest.paging import Image, page_tables
from vmad.sources.guest.physical import NotRam, PhysicalMemory, Range
from vmad.sources.guest.qmp import LONGEST_WORK, Monitor, Refused
from vmad.sources.guest.types import Types
from vmad.sources.room import need

_GIGABYTE = 1 << 30
_SWAPPER = b"swapper/0\0"

#: run states (qapi/run-state.json) in which no kernel is there to be read, and what to say
NOT_THERE = {
    "inmigrate": "waits for a guest that is to migrate to it",
    "postmigrate": "has let its guest migrate away",
    "finish-migrate": "is letting its guest migrate away",
    "prelaunch": "has not started its guest",
    "restore-vm": "is restoring its guest",
    "shutdown": "has a guest that was shut down",
}


@dataclass(frozen=True)
class Guest:
    """A guest that is attached to. ``init_task`` and ``namespace`` are virtual addresses."""

    monitor: Monitor
    memory: PhysicalMemory
    space: AddressSpace
    anchors: Anchors
    init_task: int
    namespace: int
    kernel: KernelInfo

    @property
    def path(self) -> str:
        """Of the socket."""
        return self.monitor.path

    def check(self) -> str:
        """Make sure that the guest is still the one that was found; its run state.

        Raises TargetUnavailable when it is gone, or another kernel runs: attach anew then.
        """
        status = run_state(self.monitor)
        events = {name for name, _ in self.monitor.take_events()}
        if "RESET" in events or not _is_at(self.memory, self.space.image, self.anchors):
            raise TargetUnavailable(
                f"qemu:{self.path}: the guest has rebooted", "it is attached to anew next time"
            )
        return status

    def sysctl(self, name: str) -> int | None:
        """The value of an int sysctl now; None where this kernel has none of that name."""
        place = self.anchors.sysctls.get(name)
        if place is None:
            return None
        raw = self.memory.read(self.space.image.physical + place, 4)
        return int.from_bytes(raw, "little", signed=True)

    def hostname(self) -> str | None:
        """The node name of the first namespace; None where it cannot be read."""
        layout, look = self.anchors.layout, self.space.look()
        proxy = layout["task_struct.nsproxy"]
        uts, name = layout.get("nsproxy.uts_ns"), layout.get("uts_namespace.name.nodename")
        if uts is None or name is None:
            return None
        try:
            space = look.one(look.one(self.init_task, proxy), uts)
            return look.text(space + name.offset, name.size).decode("utf-8", "backslashreplace")
        except Torn:
            return None

    def close(self) -> None:
        """Let go."""
        self.memory.close()
        self.monitor.close()


class _Paging(NamedTuple):
    """How the guest's machine maps memory; ``translate`` gives None for what is not mapped."""

    architecture: Architecture
    page_shift: int
    translate: Callable[[int], int | None]


def attach(path: str, cache: AnchorCache, types: Types) -> Guest:
    """Attach to the guest behind a socket. Raises TargetUnavailable, NoRoom."""
    monitor = Monitor(path)
    memory = None
    try:
        with monitor.by(time.monotonic() + LONGEST_WORK):
            run_state(monitor)
            memory = PhysicalMemory(monitor)
            return _attached(monitor, memory, cache, types)
    except BaseException as error:
        if memory is not None:
            memory.close()
        monitor.close()
        if isinstance(error, NotRam):
            raise _no_linux(path, f"its page tables lead nowhere ({error})") from error
        if isinstance(error, Torn):
            raise TargetUnavailable(
                f"qemu:{path}: the kernel's first structures do not fit together: {error}",
                "try again; is it booting just now?",
            ) from error
        raise


def _attached(monitor: Monitor, memory: PhysicalMemory, cache: AnchorCache, types: Types) -> Guest:
    architecture = _architecture(monitor)
    if architecture is AARCH64:
        return _attached_to_arm64(monitor, memory, cache, types)
    found_image = False
    for tables, image in page_tables(monitor, memory):
        found_image = True
        memory.try_direct(tables.root)
        anchors = None
        if types.path is None:
            anchors = next((known for known in cache if _is_at(memory, image, known)), None)
        if anchors is None:
            anchors = _found_anchors(monitor.path, memory, image, types)
            if anchors is None:
                continue
            if types.path is None:
                cache.add(anchors)
        return _guest(monitor, memory, _Paging(X86_64, 12, tables.translate), image, anchors)
    raise _no_linux(
        monitor.path,
        "nothing in it has the name of one" if found_image else "nothing is mapped at its place",
    )


def _architecture(monitor: Monitor) -> Architecture:
    """That of the guest's machine. Raises TargetUnavailable."""
    try:
        machine = monitor.told("query-target", "arch", str)
    except Refused as error:
        raise monitor.refuses(error) from error
    architecture = architecture_of(machine)
    if architecture is None:
        titles = " and ".join(known.title for known in ARCHITECTURES)
        raise TargetUnavailable(
            f"qemu:{monitor.path}: the guest's machine is {machine}",
            f"only guests of {titles} can be read",
        )
    return architecture


def _attached_to_arm64(
    monitor: Monitor, memory: PhysicalMemory, cache: AnchorCache, types: Types
) -> Guest:
    found_image = False
    memory.try_direct_anywhere()
    for placed in arm64.images(monitor.path, memory):
        found_image = True
        memory.try_direct(placed.physical)
        raw = _image(monitor.path, memory, placed.physical, placed.size)
        banner = find_banner(raw)
        if banner is None:
            continue  # the loader's copy, half overwritten
        known = None
        if types.path is None:
            text = banner.text.decode("utf-8", "replace")
            known = next((kernel for kernel in cache if kernel.banner == text), None)
        if known is not None:
            # the image may have been found with its first bytes then and without them now
            moved = banner.offset - known.banner_offset
            start = arm64.virtual_start(raw, known.layout, known.init_task + moved)
            anchors: Anchors | None = known
        else:
            moved = 0
            btf, _ = _types_of(monitor.path, raw, banner, types)
            start = arm64.virtual_start(raw, layout_of(btf))
            image = Image(start or 0, placed.physical, placed.size)
            anchors = _found_anchors(monitor.path, memory, image, types) if start else None
        if start is None or anchors is None:
            continue  # a copy that does not run
        if types.path is None and known is None:
            cache.add(anchors)
        image = Image(start + moved, placed.physical + moved, placed.size - moved)
        if not memory.is_ram(image.physical, image.size):
            continue
        translate = arm64.translation(monitor, memory, placed, image)
        return _guest(
            monitor, memory, _Paging(AARCH64, placed.page_shift, translate), image, anchors
        )
    raise _no_linux(
        monitor.path,
        "nothing in it has the name of one" if found_image else "no image of one is in it",
    )


def _is_at(memory: PhysicalMemory, image: Image, known: Anchors) -> bool:
    """Whether an image is that of a kernel that is known."""
    layout, base = known.layout, image.physical
    banner = known.banner.encode()
    comm = base + known.init_task + layout["task_struct.comm"].offset
    try:
        return (
            memory.read(base + known.banner_offset, len(banner)) == banner
            and memory.read(comm, len(_SWAPPER)) == _SWAPPER
        )
    except NotRam:
        return False


def _found_anchors(path: str, memory: PhysicalMemory, image: Image, types: Types) -> Anchors | None:
    """The anchors of an image; None when it is no Linux. Raises TargetUnavailable."""
    raw = _image(path, memory, image.physical, image.size)
    banner = find_banner(raw)
    if banner is None:
        return None
    what = f"qemu:{path}: kernel {banner.release}"
    btf, source = _types_of(path, raw, banner, types)
    try:
        anchors = find_anchors(raw, image.start, banner, btf)
    except (WrongTypes, BadBtf) as error:
        raise TargetUnavailable(
            f"{what}: {source} does not fit: {error}", "Linux 5.10 to 7.3 can be read"
        ) from error
    if anchors is None:
        raise TargetUnavailable(
            f"{what}: no first task is where {source} has it",
            "are these the types of another build?" if source != "its own BTF" else None,
        )
    return anchors


def _image(path: str, memory: PhysicalMemory, start: int, size: int) -> Bytes:
    """All of an image. Raises NoRoom, NotRam."""
    need(size, f"qemu:{path}: the image of the guest's kernel")
    return memory.read_all([Range(start, start + size)])


def _types_of(path: str, raw: Bytes, banner: Banner, types: Types) -> tuple[Btf, str]:
    """The types of an image, and where they come from. Raises TargetUnavailable."""
    if types.path is None:
        with suppress(NoTypes):
            return find_btf(raw), "its own BTF"
    what = f"qemu:{path}: kernel {banner.release}"
    return types.find(what, banner.release, find_build_ids(raw))


def _guest(
    monitor: Monitor, memory: PhysicalMemory, paging: _Paging, image: Image, anchors: Anchors
) -> Guest:
    init_task = image.start + anchors.init_task
    # where the kernel maps all RAM (KASLR moves it): from any object of its allocator
    following = anchors.init_task + anchors.layout["task_struct.tasks.next"].offset
    pointer = int.from_bytes(memory.read(image.physical + following, 8), "little")
    physical = paging.translate(pointer)
    # on x86-64 the map begins at a gigabyte, on arm64 at a large page
    aligned = _GIGABYTE if paging.architecture is X86_64 else 1 << paging.page_shift
    if physical is None or (pointer - physical) % aligned:
        raise Torn("the second task is not in the kernel's map of RAM")
    space = AddressSpace(memory, image, pointer - physical)
    namespace = first_namespace(space.look(), anchors.layout, init_task)
    machine, shift = paging.architecture.machine, paging.page_shift
    kernel = KernelInfo(anchors.release, machine, page_shift=shift)
    guest = Guest(monitor, memory, space, anchors, init_task, namespace, kernel)
    switch = guest.sysctl("anon_vma_merge")
    return replace(guest, kernel=replace(kernel, patched=switch is not None, merge_switch=switch))


def run_state(monitor: Monitor) -> str:
    """The guest's run state. Raises TargetUnavailable where no kernel is there to be read."""
    try:
        status: str = monitor.told("query-status", "status", str)
    except Refused as error:
        raise monitor.refuses(error) from error
    if status in NOT_THERE:
        raise TargetUnavailable(f"qemu:{monitor.path}: QEMU {NOT_THERE[status]}")
    return status


def _no_linux(path: str, why: str) -> TargetUnavailable:
    return TargetUnavailable(
        f"qemu:{path}: no Linux kernel is found in the guest's memory: {why}",
        "only 64-bit Linux guests whose memory is not encrypted can be read",
    )
