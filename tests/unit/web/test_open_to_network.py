# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whoever opens vmad to the network without a password is told what that shows, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: a network of the child's own: it listens beyond loopback and nobody reaches it
ALONE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
BIND = """
import logging, sys
from vmad.web.server import WebServer
logging.basicConfig(format="%(message)s")
WebServer(sys.argv[2:], None, web_config=sys.argv[1] or None).bind()
"""
WARNING = "whoever reaches it may read names of processes"
#: bcrypt's published test vector (John the Ripper)
PASSWORD = "basic_auth_users: {ann: $2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW}"


def bound(*addresses: str, web_config: str = "") -> str:
    """What a server says that binds these addresses."""
    command = [*ALONE, sys.executable, "-c", BIND, web_config, *addresses]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0"])
def test_an_address_beyond_loopback_is_warned_of_once(address: str) -> None:
    said = bound(address, "127.0.0.1:0")

    assert said.count(WARNING) == 1
    assert "127.0.0.1" not in said


def test_loopback_is_not_warned_of() -> None:
    assert bound("127.0.0.1:0", "127.0.0.9:0") == ""


def test_authentication_is_not_warned_of(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(PASSWORD)

    assert bound(":0", web_config=str(config)) == ""


def test_a_web_configuration_without_users_is_no_authentication(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text("http_server_config: {http2: false}")

    assert WARNING in bound(":0", web_config=str(config))
