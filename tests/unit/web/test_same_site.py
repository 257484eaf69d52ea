# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A page of another site, in a browser of this host, gets nothing; scrapers by name get theirs."""

from __future__ import annotations

import socket

import pytest

from tests.unit.sample import sample_snapshot
from tests.unit.web.serving import SampleContent, get, parse_reply, send, serving
from vmad.web.request import Request
from vmad.web.same_site import SameSite

LOOPBACK = ("127.0.0.1:19797", "[::1]:19797")
HERE = socket.gethostname()


def status(
    host: str,
    path: str = "/metrics",
    listen: tuple[str, ...] = LOOPBACK,
    hosts: tuple[str, ...] = (),
    **headers: str,
) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("GET", path, {"host": host, **named} if host else named)
    refusal = SameSite(hosts, listen).refusal(request)
    return 200 if refusal is None else refusal[0]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:19797", "[::1]:19797", "[::1]", "localhost:19797", "LOCALHOST", "localhost.",
     "vmad.localhost", "10.0.0.7:80", HERE, f"{HERE}:19797", ""],
)  # fmt: skip
def test_addresses_and_own_names_are_answered(host: str) -> None:
    assert status(host) == status(host, "/") == 200


@pytest.mark.parametrize(
    "host", ["evil.example:19797", "127.0.0.1.evil.example", "localhost.evil.example", "a b", "@",
             "user@localhost", "1.2.3.4.5", "[::1", "xlocalhost", "127.0.0.1:19797:1"],
)  # fmt: skip
def test_name_that_another_site_points_at_this_host_is_not(host: str) -> None:
    assert status(host) == status(host, "/") == status(host, "/api/v1/explain/1") == 421


def test_configured_names_are_answered() -> None:
    hosts = ("vmad.example.net", ".internal")
    assert status("vmad.example.net", hosts=hosts) == 200
    assert status("db7.internal:443", "/api/v1/scan", hosts=hosts) == 200
    assert status("internal", hosts=hosts) == 421
    assert status("example.net", hosts=hosts) == 421


@pytest.mark.parametrize("listen", [":19797", "0.0.0.0:19797", "[::]:19797", "10.0.0.7:19797"])
def test_scrapers_reach_a_network_address_by_any_name_and_browsers_do_not(listen: str) -> None:
    for path, expected in (("/metrics", 200), ("/-/ready", 200), ("/", 421), ("/api/v1/scan", 421)):
        assert status("db7.example.net:19797", path, (listen,)) == expected


def test_name_that_is_listened_on_is_answered() -> None:
    assert status("db7.example.net", "/", ("db7.example.net:80",)) == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),
        (
            {
                "sec_fetch_site": "cross-site",
                "sec_fetch_mode": "navigate",
                "sec_fetch_dest": "iframe",
            },
            403,
        ),
        ({"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}, 200),
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost:19797"}, 200),
    ],
)
def test_page_of_another_site_is_refused_and_a_link_from_it_is_followed(
    headers: dict[str, str], expected: int
) -> None:
    assert status("localhost:19797", "/", LOOPBACK, (), **headers) == expected


def test_refusals_over_the_wire_say_what_to_do() -> None:
    with serving(hosts=("vmad.example.net",)) as address:
        bad = parse_reply(send(address, b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
        good = parse_reply(send(address, b"GET / HTTP/1.1\r\nHost: vmad.example.net\r\n\r\n"))
        # a scrape whose answer is at hand is looked at in the same way
        assert get(address, "/metrics").status == 200
        again = parse_reply(send(address, b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"))

    assert (bad.status, good.status, again.status) == (421, 200, 421)
    assert b"web.hosts: [evil.example]" in bad.body
    assert good.headers["cross-origin-resource-policy"] == "same-origin"


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("headers", "led"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}, False),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, False),
        # browsers send no Fetch Metadata to a network address without TLS
        ({"User-Agent": FIREFOX}, True),
        ({"User-Agent": FIREFOX, "Referer": "http://evil.example/{address}"}, True),
        ({"User-Agent": FIREFOX, "Referer": "http://{address}/"}, False),
        ({"User-Agent": "curl/8.14.1"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/explain/7", "/api/v1/explain/7", "/api/v1/map/7", "/api/v1/scan", "/history", "/blame"],
)
def test_what_costs_work_is_not_set_off_by_a_link_of_another_site(
    path: str, headers: dict[str, str], led: bool
) -> None:
    content = SampleContent(sample_snapshot())
    read: list[bool] = []
    content.explaining = lambda: read.append(True)
    with serving(content) as address:
        sent = {name: value.format(address=address) for name, value in headers.items()}
        reply = get(address, path, sent)

    assert reply.status == (403 if led else 200)
    assert (f'<a href="{path}">'.encode() in reply.body) == led
    if led:
        assert not read


def test_link_that_goes_on_keeps_the_query_and_is_no_markup() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with serving() as address:
        reply = get(address, '/explain/7?target=web-1&a="><script>', headers)

    assert b'href="/explain/7?target=web-1&amp;a=&quot;&gt;&lt;script&gt;"' in reply.body
