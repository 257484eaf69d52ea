# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""web.anybody: what those see who are asked for no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.web.serving import get, serving
from vmad.config.load import load_config

PAGES = ("/", "/explain/7", "/api/v1/map/7", "/api/v1/scan", "/api/v1/explain/7", "/history",
         "/api/v1/history", "/blame")  # fmt: skip


def test_by_default_anybody_sees_processes_and_no_addresses() -> None:
    with serving() as address:
        assert {get(address, path).status for path in PAGES} == {200}
        assert get(address, "/api/v1/map/7").body == b"without addresses"
        assert get(address, "/blame").body == b"without names"
        assert get(address, "/api/v1/explain/7?pairs=true").status == 403


def test_where_only_metrics_are_for_anybody_nothing_else_is_told() -> None:
    with serving(anybody="metrics") as address:
        replies = [get(address, path) for path in PAGES]
        scraped = [get(address, path).status for path in ("/metrics", "/-/ready", "/-/healthy")]

    assert {reply.status for reply in replies} == {403}
    assert all(b"web.anybody" in reply.body for reply in replies)
    assert scraped == [200, 200, 200]


def test_root_at_a_unix_socket_sees_all_of_it(tmp_path: Path) -> None:
    with serving(anybody="metrics", listen=f"unix:{tmp_path}/socket") as address:
        reply = get(address, "/api/v1/map/7")

    assert (reply.status, reply.body) == (200, b"with addresses")


def test_addresses_are_for_anybody_where_the_host_wants_that() -> None:
    with serving(anybody="addresses") as address:
        assert get(address, "/api/v1/map/7").body == b"with addresses"
        assert get(address, "/api/v1/explain/7?pairs=true").status == 200


@pytest.mark.parametrize("value", ["metrics", "processes", "addresses"])
def test_configuration_says_which(tmp_path: Path, value: str) -> None:
    path = tmp_path / "vmad.yaml"
    path.write_text(f"web:\n  anybody: {value}\n")

    assert load_config(str(path)).web.anybody == value
    assert load_config(None).web.anybody == "processes"
