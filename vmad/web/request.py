# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads one HTTP/1 request head within bounds, and says what the client accepts (RFC 9110)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl, unquote

MAX_LINE = 8192  #: bytes of the request line, and of one header line
MAX_HEADERS = 64
#: heads up to so many bytes are remembered, so many of them: a scraper's is the same each time
_SHORT, _REMEMBERED = 512, 32

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")
_TARGET = re.compile(r"(?:[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*)?([^?#]*)(?:\?([^#]*))?")
_MEDIA_OPENMETRICS = "application/openmetrics-text"


class BadRequest(Exception):
    """The client's bytes are not a request that can be answered; it is told so with ``status``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Request:
    """A request's head. Header names are in lower case; ``path`` is decoded, without the query,
    ``query`` is as it came. ``chunked``: HTTP/1.1, whose answers may come in chunks.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    chunked: bool = False

    def asked(self, name: str) -> str | None:
        """The first value of a parameter of the query; None where it is not there."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return next((value for key, value in pairs if key == name), None)

    @property
    def has_body(self) -> bool:
        """True when a body follows, which is never read."""
        length = self.headers.get("content-length", "0")
        return length != "0" or "transfer-encoding" in self.headers

    @cached_property
    def accepts_openmetrics(self) -> bool:
        """True when OpenMetrics 1.0 is wanted at least as much as plain text."""
        openmetrics = text = 0.0
        for media, parameters, quality in _weighted(self.headers.get("accept", "")):
            if media == _MEDIA_OPENMETRICS and parameters.get("version", "1.0.0") == "1.0.0":
                openmetrics = max(openmetrics, quality)
            elif media in ("text/plain", "text/*", "*/*"):
                text = max(text, quality)
        return openmetrics > 0 and openmetrics >= text

    @cached_property
    def accepts_gzip(self) -> bool:
        """True when the client takes gzip."""
        weights = {
            coding: quality
            for coding, _, quality in _weighted(self.headers.get("accept-encoding", ""))
        }
        return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weighted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """("a;v=1;q=0.5, b") -> ("a", {"v": "1"}, 0.5), ("b", {}, 1.0); a broken q counts as 0."""
    for item in header.split(","):
        name, *rest = (part.strip() for part in item.split(";"))
        parameters = {
            key.strip().lower(): value.strip(' "')
            for key, equals, value in (part.partition("=") for part in rest)
            if equals
        }
        weight = parameters.pop("q", "1")
        quality = float(weight) if re.fullmatch(r"[01](\.[0-9]{0,3})?", weight) else 0.0
        if name:
            yield name.lower(), parameters, quality


async def _line(reader: asyncio.StreamReader, status: int) -> str:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise BadRequest(status, f"a line is longer than {MAX_LINE} bytes") from None
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("latin-1")


def parse_request(head: bytes) -> Request:
    """A whole head, up to and with its empty line. Raises BadRequest."""
    if len(head) > _SHORT or b"authorization:" in head.lower():
        return _parsed(head)  # no password is remembered
    return _parsed_before(head)


def _parsed(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise BadRequest(431, f"more than {MAX_HEADERS} header lines")
    method, target, version = _request_line(first)
    headers: dict[str, str] = {}
    for line in lines:
        _take_header(headers, line)
    return _request(method, target, version, headers)


_parsed_before = lru_cache(maxsize=_REMEMBERED)(_parsed)


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request's head from a reader whose limit is :data:`MAX_LINE`.

    Raises BadRequest, and asyncio.IncompleteReadError when the client hangs up in the middle.
    """
    # an empty line before the request is to be ignored (RFC 9112, 2.2)
    first = await _line(reader, 414) or await _line(reader, 414)
    method, target, version = _request_line(first)
    return _request(method, target, version, await _read_headers(reader))


def _request_line(first: str) -> tuple[str, str, str]:
    """(method, target, minor version)."""
    parts = first.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):
        raise BadRequest(400, "not an HTTP request")
    method, target, version_text = parts
    version = _VERSION.fullmatch(version_text)
    if version is None:
        raise BadRequest(400, "not an HTTP request")
    if version[1] != "1":
        raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return method, target, version[2]


def _request(method: str, target: str, minor: str, headers: dict[str, str]) -> Request:
    if minor != "0" and "host" not in headers:
        raise BadRequest(400, "the Host header is missing")
    path = _TARGET.match(target)
    assert path is not None  # every part of the pattern may be empty
    decoded = unquote(path[1], errors="replace") or "/"
    return Request(method, decoded, headers, path[2] or "", chunked=minor != "0")


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS + 1):
        line = await _line(reader, 431)
        if not line:
            return headers
        _take_header(headers, line)
    raise BadRequest(431, f"more than {MAX_HEADERS} header lines")


def _take_header(headers: dict[str, str], line: str) -> None:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadRequest(400, "a header line is malformed")
    key, value = name.lower(), value.strip(" \t")
    if key == "host" and key in headers:
        raise BadRequest(400, "more than one Host header")
    headers[key] = f"{headers[key]}, {value}" if key in headers else value
