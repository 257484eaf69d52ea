# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The same head is parsed once, unless a password is in it."""

from __future__ import annotations

import gc

import pytest

from vmad.web.request import BadRequest, Request, parse_request

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"


def test_a_scrapers_head_is_parsed_once() -> None:
    first, again = parse_request(SCRAPE), parse_request(SCRAPE)

    assert first is again
    assert (first.method, first.path, first.accepts_gzip) == ("GET", "/metrics", True)
    assert parse_request(SCRAPE.replace(b"gzip", b"br")).accepts_gzip is False


@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION", b"Proxy-Authorization"])
def test_no_password_is_remembered(name: bytes) -> None:
    head = SCRAPE.removesuffix(b"\r\n") + name + b": Basic c2VjcmV0OnNlY3JldA==\r\n\r\n"
    request = parse_request(head)
    assert "Basic c2VjcmV0OnNlY3JldA==" in request.headers.values()

    assert parse_request(head) is not request
    del request
    kept = [one for one in gc.get_objects() if isinstance(one, Request)]
    assert not any("Basic c2VjcmV0OnNlY3JldA==" in one.headers.values() for one in kept)


def test_a_head_that_is_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(BadRequest, match="the Host header is missing"):
            parse_request(b"GET / HTTP/1.1\r\n\r\n")
