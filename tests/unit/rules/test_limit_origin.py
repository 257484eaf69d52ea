# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where vm.max_map_count comes from; tests/vm holds the order against systemd-sysctl itself."""

from __future__ import annotations

import pytest

from vmad.rules.limit_origin import (
    Assignment,
    BootSettings,
    LimitOrigin,
    OriginKind,
    SysctlFile,
    limit_origin,
)

DEBIAN_13 = SysctlFile("/usr/lib/sysctl.d/10-vm.conf", "vm.max_map_count = 1048576\n")
OPENSEARCH = SysctlFile("/usr/lib/sysctl.d/opensearch.conf", "vm.max_map_count=262144\n")


def origin(limit: int, *files: SysctlFile, conf: str | None = None, line: str = "") -> LimitOrigin:
    last = None if conf is None else SysctlFile("/etc/sysctl.conf", conf)
    return limit_origin(limit, BootSettings(files, last, line))


def test_no_file_and_the_kernels_own_value() -> None:
    found = origin(65_530, SysctlFile("/etc/sysctl.d/a.conf", "vm.swappiness=1"))
    assert found.kind is OriginKind.KERNEL
    assert found.text.startswith("the kernel's default; no file sets it")


def test_a_distribution_raises_it() -> None:
    found = origin(1_048_576, DEBIAN_13)
    assert found.kind is OriginKind.DISTRIBUTION
    assert found.by == Assignment("/usr/lib/sysctl.d/10-vm.conf", 1, 1_048_576)
    assert "10-vm.conf" in found.text


def test_a_package_lowers_what_the_distribution_raised() -> None:
    found = origin(262_144, DEBIAN_13, OPENSEARCH)
    assert found.kind is OriginKind.FILE
    assert found.text == (
        "set by /usr/lib/sysctl.d/opensearch.conf, line 1 (of a package), which lowers it from "
        "1,048,576 (/usr/lib/sysctl.d/10-vm.conf)"
    )
    assert [one.value for one in found.others] == [1_048_576]


def test_a_file_that_lowers_the_kernels_default_is_told_so() -> None:
    found = origin(1_000, SysctlFile("/etc/sysctl.d/a.conf", "\n\nvm.max_map_count=1000"))
    assert found.text == (
        "set by /etc/sysctl.d/a.conf, line 3, which lowers it from the kernel's 65,530"
    )


def test_a_value_that_no_file_has_was_set_at_run_time() -> None:
    found = origin(100_000)
    assert found.kind is OriginKind.RUN_TIME
    assert found.text.startswith("set at run time; no file says so")


def test_a_value_other_than_that_of_the_files_ends_with_the_next_boot() -> None:
    found = origin(65_530, OPENSEARCH)
    assert found.kind is OriginKind.RUN_TIME
    assert "/usr/lib/sysctl.d/opensearch.conf says 262,144" in found.text


def test_sysctl_conf_counts_where_its_value_holds() -> None:
    found = origin(300_000, OPENSEARCH, conf="vm.max_map_count = 300000")
    assert found.by == Assignment("/etc/sysctl.conf", 1, 300_000)


def test_a_link_to_sysctl_conf_is_not_told_twice() -> None:
    linked = SysctlFile("/etc/sysctl.d/99-sysctl.conf", "vm.max_map_count=7")
    assert origin(7, linked, conf="vm.max_map_count=7").others == ()


def test_the_kernels_command_line_counts_where_no_file_does() -> None:
    found = origin(99_000, line="quiet sysctl.vm.max_map_count=99000")
    assert found.kind is OriginKind.COMMAND_LINE


def test_without_the_hosts_files_only_the_value_speaks() -> None:
    assert limit_origin(65_530, None).kind is OriginKind.KERNEL
    assert limit_origin(1_048_576, None).kind is OriginKind.UNKNOWN
    assert "not seen from here" in limit_origin(262_144, None).text


#: text of two files -> what holds after both
PRECEDENCE = {
    "a later file wins": ("vm.max_map_count=1", "vm.max_map_count=2", 2),
    "a later line wins": ("vm.max_map_count=1\nvm.max_map_count=3", "", 3),
    "slashes": ("vm/max_map_count=4", "", 4),
    "a minus only forgives": ("-vm.max_map_count=5", "", 5),
    "comments": ("#vm.max_map_count=1\n ; vm.max_map_count=2\n vm.max_map_count = 6 ", "", 6),
    "a pattern": ("vm.max_map_*=7", "", 7),
    "a later pattern wins": ("vm.max_map_*=7", "vm.max_*_count=8", 8),
    "a name beats a later pattern": ("vm.max_map_count=9", "vm.max_map_*=10", 9),
    "an exclusion keeps patterns away": ("-vm.max_map_count\nvm.max_map_*=11", "", None),
    "an exclusion takes back a name": ("vm.max_map_count=12", "-vm.max_map_count", None),
    "a star stands for no slash": ("v*=13", "", None),
    "another sysctl": ("vm.max_map_counts=14", "", None),
}


@pytest.mark.parametrize("case", PRECEDENCE)
def test_lines_count_as_systemd_counts_them(case: str) -> None:
    first, second, value = PRECEDENCE[case]
    files = (SysctlFile("/etc/sysctl.d/1.conf", first), SysctlFile("/etc/sysctl.d/2.conf", second))
    for limit in range(1, 15):
        found = origin(limit, *files)
        assert (found.by is not None) == (limit == value)
