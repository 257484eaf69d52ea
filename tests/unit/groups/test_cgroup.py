# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The text of /proc/PID/cgroup: what each shape of path says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.model.identity import CgroupIdentity, label_safe
from vmad.sources.cgroup import parse_cgroup

ID = "3f2a" + "0123456789abcdef" * 3 + "fedcba987654"
OTHER_ID = "b" * 64
POD = "12345678-9abc-def0-1234-56789abcdef0"
POD_ = POD.replace("-", "_")


def v2(path: str) -> CgroupIdentity:
    return parse_cgroup(f"0::{path}\n".encode())


@pytest.mark.parametrize(
    ("path", "unit", "user"),
    [
        ("/", None, False),
        ("/init.scope", "init.scope", False),
        ("/system.slice/nginx.service", "nginx.service", False),
        ("/system.slice/nginx.service/worker", "nginx.service", False),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", False),
        (r"/system.slice/a\x2db.service", r"a\x2db.service", False),
        ("/system.slice/_cpu.service", "cpu.service", False),
        ("/system.slice/mnt-data.mount", "mnt-data.mount", False),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", False),
        ("/user.slice/user-1000.slice/user@1000.service", "user@1000.service", False),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope", True),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x-1.scope",
            "app-x-1.scope",
            True,
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service",
            "pipewire.service",
            True,
        ),
        ("/user.slice/user-0.slice", None, False),
        (
            "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
            "systemd-nspawn@web.service",
            False,
        ),
        ("/system.slice/delegating.service/inner.scope", "delegating.service", False),
        ("/../../system.slice/nginx.service", "nginx.service", False),
        ("/openrc.nginx", None, False),
        ("/.service", None, False),
    ],
)
def test_systemd_unit_is_the_first_below_the_slices(
    path: str, unit: str | None, user: bool
) -> None:
    assert v2(path) == CgroupIdentity(path, unit, None, None, user)


@pytest.mark.parametrize(
    ("path", "container", "pod"),
    [
        (f"/docker/{ID}", ID, None),
        (f"/docker/{OTHER_ID}/docker/{ID}", ID, None),
        (f"/system.slice/docker-{ID}.scope", ID, None),
        (f"/system.slice/docker-{ID}.scope/init.scope", ID, None),
        (f"/machine.slice/libpod-{ID}.scope/container", ID, None),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ID, None),
        (f"/../cri-containerd-{ID}.scope", ID, None),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_}.slice/"
            f"cri-containerd-{ID}.scope",
            ID,
            POD,
        ),
        (f"/kubepods.slice/kubepods-pod{POD_}.slice/crio-{ID}.scope", ID, POD),
        (f"/kubepods/burstable/pod{POD}/{ID}", ID, POD),
        (f"/kubepods/besteffort/pod{'0' * 32}/{ID}", ID, "0" * 32),
        (f"/kubepods/pod{POD}/crio-{ID}", ID, POD),
        (
            f"/system.slice/containerd.service/kubepods-besteffort-pod{POD_}.slice:"
            f"cri-containerd:{ID}",
            ID,
            POD,
        ),
        (f"/system.slice/k3s.service/kubepods/burstable/pod{POD}/{ID}", ID, POD),
        (
            f"/system.slice/docker-{OTHER_ID}.scope/kubelet.slice/kubelet-kubepods.slice/"
            f"kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{POD_}.slice/"
            f"cri-containerd-{ID}.scope",
            ID,
            POD,
        ),
        (f"/ecs/{'1' * 32}/{ID}", ID, None),
        (f"/ecs/{'1' * 32}/{'1' * 32}-0123456789", "1" * 32 + "-0123456789", None),
        ("/lxc/101/ns/system.slice/nginx.service", "101", None),
        ("/lxc.payload.web/system.slice/nginx.service", "web", None),
        ("/lxc.payload/web", "web", None),
        (f"/docker/{ID} (deleted)", ID, None),
    ],
)
def test_container_is_the_innermost_and_hides_the_runtimes_unit(
    path: str, container: str, pod: str | None
) -> None:
    found = v2(path)
    assert (found.container, found.pod, found.unit, found.user) == (container, pod, None, False)


def test_podman_service_keeps_its_unit() -> None:
    found = v2(f"/system.slice/web.service/libpod-payload-{ID}")
    assert (found.unit, found.container) == ("web.service", ID)


@pytest.mark.parametrize(
    "path",
    [
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/system.slice/crio-conmon-{ID}.scope",
        f"/system.slice/docker-{ID[:-1]}.scope",
        f"/docker/{ID.upper()}",
        "/kubepods.slice/kubepods-burstable.slice",
        "/lxc.monitor.web",
    ],
)
def test_what_is_no_container(path: str) -> None:
    assert v2(path).container is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"12:pids:/x\n1:name=systemd:/system.slice/a.service\n", "/system.slice/a.service"),
        (b"1:name=systemd:/docker/x\n0::/system.slice/containerd.service\n", "/docker/x"),
        (b"0::/a.service\n1:name=systemd:/\n", "/a.service"),
        (b"9:name=systemd:/\n4:memory:/m\n3:cpu,cpuacct:/c\n0::/\n", "/m"),
        (b"3:cpu,cpuacct:/c\n", "/c"),
        (b"3:cpuset:/s\n0::/\n", "/s"),
        (b"0::/a:b/c::d\n", "/a:b/c::d"),
        (b"0::/gone (deleted)\n", "/gone"),
        (b"0::/b\xc3\xbccher\n", "/bücher"),
        (b"0::/\xff\x1b\n", "/\\xff\\x1b"),
        (b"0::/no newline", "/no newline"),
        (b"", "/"),
        (b"\n::\n:", "/"),
    ],
)
def test_hierarchy_that_decides(text: bytes, path: str) -> None:
    assert parse_cgroup(text).path == path


def test_kernel_text_of_this_process_parses() -> None:
    text = Path("/proc/self/cgroup").read_bytes()
    path = parse_cgroup(text).path
    assert path == "/" or f":{path}" in text.decode()


PIECES = st.sampled_from(
    [b"/", b":", b"\n", b"0::", b"1:name=systemd:", b".service", b".scope", b".slice", b"user@1",
     b"docker-", b"pod", b"kubepods", b"lxc", b"..", b"_", b" (deleted)", b"\xff", b"\x00",
     b"libpod-payload-", ID.encode(), POD_.encode(), POD.encode()]
)  # fmt: skip


@given(st.binary(max_size=200) | st.lists(PIECES, max_size=30).map(b"".join))
def test_any_bytes_give_labels(text: bytes) -> None:
    found = parse_cgroup(text)
    for value in (found.path, found.unit, found.container, found.pod):
        assert value is None or (value and value.isprintable())


@given(st.binary())
def test_label_safe_is_printable_and_final(raw: bytes) -> None:
    safe = label_safe(raw)
    assert safe.isprintable()
    assert label_safe(safe) == safe
    assert safe == label_safe(raw.decode("utf-8", "surrogateescape"))


@given(st.text().filter(str.isprintable))
def test_label_safe_keeps_text(text: str) -> None:
    assert label_safe(text) == text
    assert label_safe(text.encode()) == text
