# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which path gives what: pure functions from a request and the daemon's content to a response."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from vmad.errors import CannotRead, ProcessGone, StillChanging, TargetUnavailable, VmadError
from vmad.timeline.selection import LONGEST, USUAL, Selection
from vmad.web.request import Request
from vmad.web.viewer import ANYBODY, Viewer

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
HTML = "text/html; charset=utf-8"
#: the same strings as prometheus_client's constants (a test compares them)
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
METRICS_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

HEALTHY, READY, METRICS, SCAN = "/-/healthy", "/-/ready", "/metrics", "/api/v1/scan"
FAILURES, BURSTS = "/api/v1/failures", "/api/v1/bursts"
DAEMON, HISTORY = "/api/v1/daemon", "/api/v1/history"
PAST, BLAME = "/history", "/blame"
#: bodies from this many bytes on are worth compressing
_COMPRESS_FROM = 2048
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_EXPLAIN = re.compile(r"/api/v1/explain/([1-9][0-9]{0,9})")
_PROCESS = re.compile(r"/explain/([1-9][0-9]{0,9})")
_MAP = re.compile(r"/api/v1/map/([1-9][0-9]{0,9})")
_PATHS = frozenset(
    ("/", METRICS, HEALTHY, READY, SCAN, FAILURES, BURSTS, DAEMON, HISTORY, PAST, BLAME)
)
#: bytes of a large answer that are made at a time
_PIECE = 1 << 16


class Content(Protocol):
    """What the daemon has to show. Called from several threads; must not block for long,
    ``explain_json`` excepted.
    """

    @property
    def edition(self) -> int:
        """A number that moves when metrics that were rendered before are wrong."""

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        """The exposition, already compressed when ``gzip``."""

    def page(self) -> bytes:
        """The page for people, HTML in UTF-8."""

    def scan_json(self) -> Iterator[str] | None:
        """The last complete scan under the schema vmad.scan/1; None before the first."""

    def failures_json(self) -> bytes | None:
        """Failures at the limit under the schema vmad.failures/1; None where nobody counts."""

    def daemon_json(self) -> bytes:
        """How the daemon does itself, schema vmad.daemon/1; also before the first scan."""

    def bursts_json(self) -> bytes | None:
        """Bursts that are over under the schema vmad.bursts/1; None before the first scan."""

    def history_page(self, selection: Selection) -> bytes:
        """The page of it, HTML in UTF-8."""

    def history_json(self, selection: Selection) -> Iterator[str]:
        """What was under the schema vmad.history/1."""

    def blame_page(self, viewer: Viewer) -> bytes | None:
        """The last recording of ``vmad blame --page``, HTML in UTF-8, without names for those who
        may not see them; None where there is none.
        """

    def explain_json(self, pid: int, viewer: Viewer, pairs: bool) -> Iterator[str]:
        """One process under the schema vmad.explain/1; with its ``pairs`` for those who may see
        its addresses.

        Raises ProcessGone, CannotRead and other VmadErrors.
        """

    def process_page(self, pid: int, viewer: Viewer) -> bytes:
        """The page of one process, HTML in UTF-8. Raises as ``explain_json`` does."""

    def process_map(self, pid: int, viewer: Viewer) -> bytes:
        """The picture of one process, schema vmad.map/1. Raises as ``explain_json`` does."""

    def ready(self) -> str | None:
        """None when a complete scan can be served, else one line that says why not."""

    def target(self, name: str) -> Content | None:
        """The content of a machine that is watched beside this one; None for an unknown name."""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back, apart from what every response carries (Date, Connection).

    Large bodies come in ``pieces``, each made when it is asked for; ``stream`` is the same, each
    piece made by another thread.
    """

    status: int
    content_type: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    stream: AsyncIterator[bytes] | None = None


def error(request_path: str, status: int, text: str, **headers: str) -> Response:
    """A failure in the language of the path: JSON below /api, else one line of text."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if request_path.startswith("/api/"):
        return Response(status, JSON, json.dumps({"error": text}).encode() + b"\n", named)
    return Response(status, TEXT, text.encode("utf-8", "replace") + b"\n", named)


def refuse(request: Request) -> Response | None:
    """The answer to a request that no content is needed for to refuse: 404, 405."""
    path = request.path
    if path not in _PATHS and not _of_process(path):
        return error(path, 404, "not found")
    if request.method not in ("GET", "HEAD"):
        return error(path, 405, f"{request.method} is not possible here", Allow="GET, HEAD")
    return None


def is_large(request: Request) -> bool:
    """Whether the answer may be large and take long."""
    return request.path in (SCAN, HISTORY, PAST, BLAME) or _of_process(request.path)


def _of_process(path: str) -> bool:
    return any(pattern.fullmatch(path) for pattern in (_EXPLAIN, _PROCESS, _MAP))


def content_of(request: Request, content: Content) -> Content | Response:
    """The machine that is asked about, or what to say where there is none of that name."""
    target = request.asked("target")
    if target is None:
        return content
    of_target = content.target(target)
    if of_target is None:
        text = "no target has this name (see targets: in the configuration)"
        return error(request.path, 404, text)
    return of_target


def respond(request: Request, content: Content, viewer: Viewer = ANYBODY) -> Response:
    """Answer a request that :func:`refuse` lets pass, of the machine that is asked about.

    Metrics are rendered elsewhere, see :func:`metrics_response`.
    """
    path = request.path
    if path == HEALTHY:
        return Response(200, TEXT, b"vmad is alive\n")
    if path == READY:
        why_not = content.ready()
        if why_not is not None:
            return error(path, 503, why_not, Retry_After="1")
        return Response(200, TEXT, b"vmad is ready\n")
    if path == "/":
        return _compressed(request, Response(200, HTML, content.page(), _page_headers()))
    if path == SCAN:
        scan = content.scan_json()
        if scan is None:
            why_not = content.ready() or "the first scan is not complete yet"
            return error(path, 503, why_not, Retry_After="1")
        return _streamed(request, scan)
    if path == FAILURES:
        failures = content.failures_json()
        if failures is None:
            return error(path, 404, "failures at the limit are not counted (see vmad doctor)")
        return _compressed(request, Response(200, JSON, failures))
    if path == DAEMON:
        return _compressed(request, Response(200, JSON, content.daemon_json()))
    if path == BURSTS:
        bursts = content.bursts_json()
        if bursts is None:
            why_not = content.ready() or "the first scan is not complete yet"
            return error(path, 503, why_not, Retry_After="1")
        return _compressed(request, Response(200, JSON, bursts))
    if path in (HISTORY, PAST):
        return _history(request, content)
    if path == BLAME:
        return _blame(request, content.blame_page(viewer))
    return _process(request, content, viewer)


def _history(request: Request, content: Content) -> Response:
    selection = _selection(request)
    if isinstance(selection, Response):
        return selection
    if request.path == PAST:
        page = content.history_page(selection)
        return _compressed(request, Response(200, HTML, page, _page_headers()))
    return _streamed(request, content.history_json(selection))


def _page_headers() -> dict[str, str]:
    from vmad.web.pages.document import page_headers  # noqa: PLC0415  only where somebody looks

    return page_headers()


def _blame(request: Request, page: bytes | None) -> Response:
    from vmad.export.blame_flame import flame_policy  # noqa: PLC0415  only where somebody looks

    if page is None:
        text = "no recording was made for this page yet; as root: vmad blame PID --page"
        return error(request.path, 404, text)
    headers = {**_page_headers(), "Content-Security-Policy": flame_policy()}
    return _compressed(request, Response(200, HTML, page, headers))


def _selection(request: Request) -> Selection | Response:
    """Which history: ``span`` (seconds), ``group`` and ``pid`` of the query."""
    span, pid = request.asked("span"), request.asked("pid")
    for name, value in (("span", span), ("pid", pid)):
        if value is not None and not _NUMBER.fullmatch(value):
            return error(request.path, 400, f"{name} is a number")
    seconds = USUAL if span is None else min(int(span), LONGEST)
    return Selection(seconds, request.asked("group"), None if pid is None else int(pid))


def metrics_response(openmetrics: bool, compressed: bool, body: bytes) -> Response:
    """The response to a scrape."""
    headers = {"Vary": "Accept, Accept-Encoding"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
    return Response(200, METRICS_OPENMETRICS if openmetrics else METRICS_TEXT, body, headers)


def _process(request: Request, content: Content, viewer: Viewer) -> Response:
    """What is read of one process now: its page, its picture, all of it as JSON."""
    path = request.path
    pid = int(path.rpartition("/")[2])
    try:
        if _PROCESS.fullmatch(path):
            page = content.process_page(pid, viewer)
            return _compressed(request, Response(200, HTML, page, _page_headers()))
        if _MAP.fullmatch(path):
            headers = {"Cache-Control": "no-store"}
            return _compressed(
                request, Response(200, BYTES, content.process_map(pid, viewer), headers)
            )
        pairs = request.asked("pairs") in ("1", "true")
        return _streamed(request, content.explain_json(pid, viewer, pairs))
    except ProcessGone as gone:
        return _no_process(request, 404, gone)
    except StillChanging as restless:
        return _no_process(request, 503, restless, Retry_After="1")
    except CannotRead as refusal:
        return _no_process(request, 403, refusal)
    except TargetUnavailable as absent:
        return error(path, 503, str(absent), Retry_After="15")
    except VmadError as failure:
        return error(path, 500, str(failure))


def _no_process(request: Request, status: int, why: VmadError, **headers: str) -> Response:
    page = _PROCESS.fullmatch(request.path)
    if page is None:
        return error(request.path, status, str(why), **headers)
    from vmad.web.pages.short import no_process_page  # noqa: PLC0415

    body = no_process_page(int(page[1]), str(why), request.asked("target"))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, HTML, body, _page_headers() | named)


def detour(request: Request) -> Response:
    """A page in place of work that a page of another site asked for: its link does it."""
    where = request.path + (f"?{request.query}" if request.query else "")
    from vmad.web.pages.short import detour_page  # noqa: PLC0415

    return Response(403, HTML, detour_page(where), _page_headers())


def _streamed(request: Request, texts: Iterator[str]) -> Response:
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    if not request.accepts_gzip:
        return Response(200, JSON, headers=headers, pieces=_collected(texts))
    headers["Content-Encoding"] = "gzip"
    return Response(200, JSON, headers=headers, pieces=_deflated(_collected(texts)))


def _collected(texts: Iterator[str]) -> Iterator[bytes]:
    """Pieces of :data:`_PIECE` bytes or so: few enough to hand over, small enough to keep."""
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text.encode())
        size += len(waiting[-1])
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # 16 beyond the window's bits asks zlib for a gzip member (deflateInit2, zlib.h)
    deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for piece in pieces:
        yield deflate.compress(piece)
    yield deflate.flush()


def _compressed(request: Request, response: Response) -> Response:
    headers = {**response.headers, "Vary": "Accept-Encoding"}
    if len(response.body) < _COMPRESS_FROM or not request.accepts_gzip:
        return replace(response, headers=headers)
    headers["Content-Encoding"] = "gzip"
    body = gzip.compress(response.body, compresslevel=1, mtime=0)
    return replace(response, body=body, headers=headers)


def phrase(status: int) -> str:
    """(404) -> "Not Found"."""
    return HTTPStatus(status).phrase
