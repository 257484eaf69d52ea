# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The text of /proc/PID/cgroup, parsed: path, systemd unit, container, Kubernetes pod."""

from __future__ import annotations

import re
from functools import lru_cache

from vmad.model.identity import CgroupIdentity, label_safe

#: Which hierarchy to believe, best first. systemd's own comes before the unified one: on a hybrid
#: host a container made with the cgroupfs driver is in /docker/ID in every v1 hierarchy while its
#: "0::" line still names the runtime's service (containerd.service).
_HIERARCHIES = ("name=systemd", "", "memory", "cpu", "pids", "freezer", "devices", "blkio")

#: units that may hold processes of their own (systemd.unit(5)); a FUSE server lives in its .mount
_UNIT = re.compile(r".+\.(?:service|scope|mount|socket|swap)", re.DOTALL)
_USER_MANAGER = re.compile(r"user@[^/]*\.service", re.DOTALL)

# docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, nerdctl-ID.scope; with
# the cgroupfs driver docker/ID, kubepods/burstable/podUID/ID, crio-ID, libpod-payload-ID
_CONTAINER = re.compile(r"(?:([a-z][a-z0-9_-]*)-)?([0-9a-f]{64})(?:\.scope)?")
# containerd given a systemd-style path while it drives cgroupfs: SLICE:cri-containerd:ID
_COLON_CONTAINER = re.compile(r"(.*):[a-z0-9_-]+:([0-9a-f]{64})", re.DOTALL)
_FARGATE = re.compile(r"[0-9a-f]{32}-[0-9]{6,12}")  # /ecs/TASK/TASK-NUMBER
_LXC = re.compile(r"lxc\.payload\.(.+)", re.DOTALL)

_POD_UID = r"([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
_POD = re.compile(rf"(?:(?:kubelet-)?kubepods(?:-[a-z]+)*-)?pod{_POD_UID}(?:\.slice)?")


@lru_cache(maxsize=1024)  # a KiB each
def parse_cgroup(text: bytes) -> CgroupIdentity:
    """What the lines of one /proc/PID/cgroup say (cgroups(7)); never raises.

    Cgroup v2 (``0::/system.slice/nginx.service``), v1 and hybrid. Of several hierarchies the
    first of systemd's, the unified one, memory, ... that is not the root decides. A path seen
    from another cgroup namespace may begin with ``/..``; those steps are skipped.
    """
    path = _path(text)
    steps = [step for step in path.split("/") if step not in ("", "..")]
    unit: str | None = None
    container: str | None = None
    pod: str | None = None
    user = False
    in_manager = False
    owns_container = False
    before = ""
    for step in steps:
        if match := _POD.fullmatch(step):
            pod = _uid(match[1])
        elif colon := _COLON_CONTAINER.fullmatch(step):
            container = colon[2]
            if match := _POD.fullmatch(colon[1]):
                pod = _uid(match[1])
        elif (inside := _container(step, before)) is not None:
            # the innermost id is the most telling: Docker in Docker, kind
            owns_container = step.startswith("libpod-payload-") and _is_unit(before)
            container = inside
        elif _is_unit(step) and (unit is None or in_manager):
            # The first unit, as systemd itself reads a path (cg_path_get_unit and
            # cg_path_get_user_unit in src/basic/cgroup-util.c): what is below is delegated.
            name = step.removeprefix("_")  # cg_escape() guards names that look like attributes
            user, in_manager = in_manager, _USER_MANAGER.fullmatch(name) is not None
            unit = name
        before = step
    if container is not None and not owns_container:
        unit, user = None, False
    return CgroupIdentity(path, unit, container, pod, user)


def _path(text: bytes) -> str:
    paths: dict[str, bytes] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":", 2)
        if len(fields) == 3:
            for controller in fields[1].split(b","):
                paths.setdefault(controller.decode("ascii", "replace"), fields[2])
    ordered = [paths.pop(name) for name in _HIERARCHIES if name in paths]
    for raw in [*ordered, *paths.values()]:
        # v2 marks the group of a process that outlived it (kernel/cgroup/cgroup.c,
        # proc_cgroup_show)
        path = label_safe(raw.removesuffix(b" (deleted)"))
        if path.strip("/"):
            return path
    return "/"


def _is_unit(step: str) -> bool:
    return _UNIT.fullmatch(step) is not None


def _uid(text: str) -> str:
    return text.replace("_", "-")


def _container(step: str, before: str) -> str | None:
    """Container id or name that one step of a path names; ``before`` is the step above it."""
    if match := _CONTAINER.fullmatch(step):
        # conmon watches a container from a group of its own
        return None if (match[1] or "").endswith("conmon") else match[2]
    if match := _LXC.fullmatch(step):
        return match[1]
    if before in ("lxc", "lxc.payload") or (before and _FARGATE.fullmatch(step)):
        return step
    return None
