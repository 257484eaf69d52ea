# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of groups: without rules, and with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.config import GroupRule, parse_config
from vmad.model.identity import CgroupIdentity, ProcessIdentity, label_safe
from vmad.scan.groups import GroupRules, default_group
from vmad.scan.units import lasting_unit
from vmad.sources.cgroup import parse_cgroup

ID = "3f2a" + "0" * 60
UUID = "0b2c4f3e-1111-2222-3333-444455556666"


def process(path: str = "/", comm: str = "python3", exe: str | None = None) -> ProcessIdentity:
    return ProcessIdentity(comm, exe, parse_cgroup(f"0::{path}\n".encode()))


def rules(text: str) -> tuple[GroupRule, ...]:
    return parse_config(text.encode(), "f").groups


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/ssh.service", "ssh.service"),
        ("/init.scope", "init.scope"),
        (f"/docker/{ID}", "container/3f2a00000000"),
        ("/lxc.payload.web", "container/web"),
        ("/", "comm/python3"),
        ("/user.slice/user-1000.slice/session-3.scope", "comm/python3"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user/init.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service",
         "user/dbus.service"),
        (f"/user.slice/user-1.slice/user@1.service/app.slice/vte-spawn-{UUID}.scope",
         "comm/python3"),
        (f"/system.slice/web.service/libpod-payload-{ID}", "web.service"),
        ("/some/group", "comm/python3"),
    ],
)  # fmt: skip
def test_default_group(path: str, group: str) -> None:
    assert GroupRules().name_of(process(path)) == group


def test_process_whose_cgroup_could_not_be_read_is_grouped_by_command() -> None:
    assert default_group(ProcessIdentity("cat")) == "comm/cat"


@pytest.mark.parametrize(
    ("unit", "lasting"),
    [
        ("nginx.service", "nginx.service"),
        ("getty@tty1.service", "getty@tty1.service"),
        (f"ceph-{UUID}@osd.3.service", f"ceph-{UUID}@osd.3.service"),
        ("worker@3.service", "worker@3.service"),
        ("postgresql@15-main.service", "postgresql@15-main.service"),
        ("sshd@4-10.0.0.1:22-10.0.0.9:40022.service", "sshd@.service"),
        ("sshd@4-fe80::1:22-fe80::2:40022.service", "sshd@.service"),
        ("varlink@12-4711-1000.service", "varlink@.service"),
        ("sshd@2-unknown.service", "sshd@.service"),
        ("user@1000.service", "user@.service"),
        ("dbus-:1.2-org.example.Name@0.service", "dbus-org.example.Name.service"),
        ("app-gnome-firefox-4711.scope", "app-gnome-firefox.scope"),
        ("app-org.kde.kate@a1b2c3d4.service", "app-org.kde.kate.service"),
        ("app-gnome-update@autostart.service", "app-gnome-update.service"),
        ("app-feedface.scope", "app-feedface.scope"),
        (f"snap.firefox.firefox-{UUID}.scope", "snap.firefox.firefox.scope"),
        ("session-3.scope", None),
        ("session-c12.scope", None),
        (f"run-r{'0' * 32}.scope", None),
        ("run-u17.service", None),
        ("run-p4711-i9.scope", None),
        ("run-4711.scope", None),
        ("run-backup.service", "run-backup.service"),
        (f"libpod-conmon-{ID}.scope", None),
        (f"vte-spawn-{UUID}.scope", None),
        ("machine-web.scope", "machine-web.scope"),
    ],
)
def test_unit_is_named_without_what_each_start_changes(unit: str, lasting: str | None) -> None:
    assert lasting_unit(unit) == lasting


def test_first_rule_that_matches_decides() -> None:
    named = GroupRules(
        rules(
            """
groups:
- {match: {comm: java, unit: 'a.*'}, name: both}
- {match: {comm: java}, name: 'java of {unit}'}
- {match: {comm: j.*}, name: j}
"""
        )
    )
    assert named.name_of(process("/a.service", "java")) == "both"
    assert named.name_of(process("/b.service", "java")) == "java of b.service"
    assert named.name_of(process("/", "java")) == "j"  # no unit to name
    assert named.name_of(process("/b.service", "cat")) == "b.service"


def test_pattern_must_match_the_whole_text() -> None:
    named = GroupRules(rules("groups: [{match: {comm: java}, name: j}]"))
    assert named.name_of(process(comm="javac")) == "comm/javac"


def test_every_field_can_be_matched_and_named() -> None:
    pod = "12345678-9abc-def0-1234-56789abcdef0"
    path = f"/kubepods/pod{pod}/{ID}"
    named = GroupRules(
        rules(
            """
groups:
- match: {cgroup: '/kubepods/.*', container: '(...).*', comm: '(?P<c>.).*', exe: /usr/(.*)/(x)?.*}
  name: '{pod} {container_1} {c} {exe_1} {exe_2}{comm} {cgroup} {container} {exe}'
"""
        )
    )
    assert named.needs_exe
    assert (
        named.name_of(process(path, "cat", "/usr/bin/cat"))
        == f"{pod} 3f2 c bin cat {path} {ID} /usr/bin/cat"
    )
    assert named.name_of(process(path, "cat")) == "container/3f2a00000000"


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("{match: {comm: a}, name: a}", False),
        ("{match: {comm: a}, name: '{exe}'}", True),
        ("{match: {exe: a}, name: a}", True),
    ],
)
def test_exe_is_needed_only_where_a_rule_asks(text: str, needed: bool) -> None:
    assert GroupRules(rules(f"groups: [{text}]")).needs_exe is needed


def test_rule_that_renders_nothing_is_passed_over() -> None:
    named = GroupRules(rules("groups: [{match: {comm: '(x*).*'}, name: '{comm_1}'}]"))
    assert named.name_of(process(comm="abc")) == "comm/abc"


def test_without_default_groups_the_rest_is_other() -> None:
    named = GroupRules(rules("groups: [{match: {comm: a}, name: a}]"), default_groups=False)
    assert named.name_of(process(comm="a")) == "a"
    assert named.name_of(process(comm="b")) == "other"


def test_no_rule_can_produce_other() -> None:
    named = GroupRules(rules("groups: [{match: {comm: .*}, name: '{comm}'}]"))
    assert named.name_of(process(comm="other")) == "group/other"
    assert named.name_of(process(comm=" other ")) == "group/other"


TEXT = st.text(max_size=15)
LABEL = st.none() | st.text(min_size=1, max_size=15).map(label_safe)


@given(
    TEXT,
    st.none() | TEXT,
    st.none() | st.builds(CgroupIdentity, st.just("/"), LABEL, LABEL, LABEL, st.booleans()),
)
def test_any_process_has_a_printable_name(
    comm: str, exe: str | None, cgroup: CgroupIdentity | None
) -> None:
    named = GroupRules(rules("groups: [{match: {comm: '(a|b)?.*'}, name: '{comm_1}{exe}'}]"))
    name = named.name_of(ProcessIdentity(comm, exe, cgroup))
    assert name
    assert name.isprintable()
    assert name != "other"
