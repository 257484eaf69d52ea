# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The Debian package on another release: built, judged by lintian, installed, purged."""

from __future__ import annotations

from tests.machines.machine import Machine

INSTALL = "apt-get install -y -q --no-install-recommends"


def test_package_is_built_and_lintian_has_nothing_to_say(new_machine: Machine) -> None:
    new_machine.sh("cd /root/vmad && make deb").well()
    new_machine.sh(f"{INSTALL} lintian").well()
    judged = new_machine.sh(
        "cd /root/vmad && lintian --allow-root --fail-on error,warning build/deb/*.changes"
    )
    assert judged.well().strip() == ""


def test_package_works_where_it_is_installed_and_leaves_nothing(new_machine: Machine) -> None:
    new_machine.sh(f"{INSTALL} systemd; {INSTALL} /root/vmad/build/deb/*.deb").well()
    assert "nearest to the limit" in new_machine.sh("vmad scan").well()
    assert new_machine.sh("vmad doctor; dpkg --verify vmad").well()
    # where this release's systemd looks for it, enabled, without a word from systemd about it
    unit = new_machine.sh("dpkg -L vmad | grep /systemd/system/vmad.service").well().strip()
    assert unit == "/usr/lib/systemd/system/vmad.service"
    assert new_machine.sh("systemctl is-enabled vmad").well().strip() == "enabled"
    assert new_machine.sh("systemd-analyze verify vmad.service").well().strip() == ""
    new_machine.sh("apt-get purge -y -q vmad").well()
    left = new_machine.sh("find /etc /usr /var/lib -name '*vmad*' -not -path '/var/lib/dpkg/*'")
    assert left.well().strip() == ""
