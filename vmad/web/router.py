# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which path gives what: pure functions from a request and the daemon's content to a response."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from vmad.errors import CannotRead, ProcessGone, TargetUnavailable, VmadError
from vmad.web.request import Request

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
#: the same strings as prometheus_client's constants (a test compares them)
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
METRICS_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

HEALTHY = "/-/healthy"
#: bodies from this many bytes on are worth compressing
_COMPRESS_FROM = 2048
_EXPLAIN = re.compile(r"/api/v1/explain/([1-9][0-9]{0,9})")
_PATHS = frozenset(("/", "/metrics", HEALTHY, "/-/ready", "/api/v1/scan"))


class Content(Protocol):
    """What the daemon has to show. Called from several threads; must not block for long,
    ``explain_json`` excepted.
    """

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        """The exposition, already compressed when ``gzip``."""

    def page(self) -> bytes:
        """The page for people, HTML in UTF-8."""

    def scan_json(self) -> bytes | None:
        """The last complete scan under the schema vmad.scan/1; None before the first."""

    def explain_json(self, pid: int) -> bytes:
        """One process under the schema vmad.explain/1.

        Raises ProcessGone, CannotRead and other VmadErrors.
        """

    def ready(self) -> str | None:
        """None when a complete scan can be served, else one line that says why not."""

    def target(self, name: str) -> Content | None:
        """The content of a machine that is watched beside this one; None for an unknown name."""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back, apart from what every response carries (Date, Connection)."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def error(request_path: str, status: int, text: str, **headers: str) -> Response:
    """A failure in the language of the path: JSON below /api, else one line of text."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if request_path.startswith("/api/"):
        return Response(status, JSON, json.dumps({"error": text}).encode() + b"\n", named)
    return Response(status, TEXT, text.encode("utf-8", "replace") + b"\n", named)


def refuse(request: Request) -> Response | None:
    """The answer to a request that no content is needed for to refuse: 404, 405."""
    path = request.path
    if path not in _PATHS and not _EXPLAIN.fullmatch(path):
        return error(path, 404, "not found")
    if request.method not in ("GET", "HEAD"):
        return error(path, 405, f"{request.method} is not possible here", Allow="GET, HEAD")
    return None


def explained_pid(request: Request) -> int | None:
    """The pid of a request that asks for one process, which may take long; None for others."""
    found = _EXPLAIN.fullmatch(request.path)
    return int(found[1]) if found else None


def respond(request: Request, content: Content) -> Response:
    """Answer a request that :func:`refuse` lets pass."""
    path = request.path
    if path == HEALTHY:
        return Response(200, TEXT, b"vmad is alive\n")
    asked = request.asked("target")
    if asked is not None:
        of_target = content.target(asked)
        if of_target is None:
            return error(path, 404, "no target has this name (see targets: in the configuration)")
        content = of_target
    if path == "/-/ready":
        why_not = content.ready()
        if why_not is not None:
            return error(path, 503, why_not, Retry_After="1")
        return Response(200, TEXT, b"vmad is ready\n")
    if path == "/metrics":
        return _metrics(request, content)
    if path == "/":
        return _compressed(request, Response(200, HTML, content.page(), _PAGE_HEADERS))
    if path == "/api/v1/scan":
        scan = content.scan_json()
        if scan is None:
            why_not = content.ready() or "the first scan is not complete yet"
            return error(path, 503, why_not, Retry_After="1")
        return _compressed(request, Response(200, JSON, scan))
    pid = explained_pid(request)
    if pid is None:
        return error(path, 404, "not found")
    return _compressed(request, _explain(path, pid, content))


_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def _metrics(request: Request, content: Content) -> Response:
    openmetrics, compressed = request.accepts_openmetrics(), request.accepts_gzip()
    headers = {"Vary": "Accept, Accept-Encoding"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
    content_type = METRICS_OPENMETRICS if openmetrics else METRICS_TEXT
    return Response(200, content_type, content.metrics(openmetrics, compressed), headers)


def _explain(path: str, pid: int, content: Content) -> Response:
    try:
        return Response(200, JSON, content.explain_json(pid))
    except ProcessGone as gone:
        return error(path, 404, str(gone))
    except CannotRead as refusal:
        return error(path, 403, str(refusal))
    except TargetUnavailable as absent:
        return error(path, 503, str(absent), Retry_After="15")
    except VmadError as failure:
        return error(path, 500, str(failure))


def _compressed(request: Request, response: Response) -> Response:
    headers = {**response.headers, "Vary": "Accept-Encoding"}
    if len(response.body) < _COMPRESS_FROM or not request.accepts_gzip():
        return replace(response, headers=headers)
    headers["Content-Encoding"] = "gzip"
    body = gzip.compress(response.body, compresslevel=1, mtime=0)
    return replace(response, body=body, headers=headers)


def phrase(status: int) -> str:
    """(404) -> "Not Found"."""
    return HTTPStatus(status).phrase
