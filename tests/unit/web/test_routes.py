# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which path gives what, asked over real sockets."""

from __future__ import annotations

import gzip
import json
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.openmetrics import exposition as openmetrics

import vmad
from tests.unit.sample import sample_snapshot
from tests.unit.web.serving import (
    Reply,
    SampleContent,
    connect,
    get,
    parse_reply,
    read_all,
    send,
    serving,
)
from vmad.web import router

#: what Prometheus 2.45 and 3.x send
ACCEPT_PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;"
    "version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1"
)
ACCEPT_PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as where:
        yield where


@pytest.fixture(scope="module")
def early() -> Iterator[str]:
    """A server before the first scan is complete."""
    with serving(SampleContent(None)) as where:
        yield where


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type"),
    [
        ("GET", "/", 200, router.HTML),
        ("HEAD", "/", 200, router.HTML),
        ("GET", "/?refresh=1", 200, router.HTML),
        ("GET", "/?target=web-1", 200, router.HTML),
        ("GET", "/metrics?target=web%2D1", 200, router.METRICS_TEXT),
        ("GET", "/metrics?target=absent", 404, router.TEXT),
        ("GET", "/api/v1/scan?a=b&target=web-1", 200, router.JSON),
        ("GET", "/api/v1/explain/1?target=absent", 404, router.JSON),
        ("GET", "/metrics", 200, router.METRICS_TEXT),
        ("HEAD", "/metrics", 200, router.METRICS_TEXT),
        ("GET", "/metrics?name[]=vmad_build_info", 200, router.METRICS_TEXT),
        ("GET", "/m%65trics", 200, router.METRICS_TEXT),
        ("GET", "http://localhost/metrics", 200, router.METRICS_TEXT),
        ("GET", "/-/healthy", 200, router.TEXT),
        ("HEAD", "/-/healthy", 200, router.TEXT),
        ("GET", "/-/ready", 200, router.TEXT),
        ("GET", "/api/v1/scan", 200, router.JSON),
        ("GET", "/api/v1/bursts", 200, router.JSON),
        ("GET", "/api/v1/failures", 200, router.JSON),
        ("GET", "/api/v1/failures/1", 404, router.JSON),
        ("GET", "/api/v1/daemon", 200, router.JSON),
        ("GET", "/api/v1/history", 200, router.JSON),
        ("GET", "/history", 200, router.HTML),
        ("GET", "/blame", 200, router.HTML),
        ("GET", "/history?group=a%2Fb&span=86400", 200, router.HTML),
        ("GET", "/history?pid=x", 400, router.TEXT),
        ("GET", "/api/v1/history?span=60&group=a%2Fb&pid=7", 200, router.JSON),
        ("GET", "/api/v1/history?span=-1", 400, router.JSON),
        ("GET", "/api/v1/history?span=99999999999", 400, router.JSON),
        ("GET", "/api/v1/history?pid=all", 400, router.JSON),
        ("GET", "/api/v1/explain/1", 200, router.JSON),
        ("GET", "/api/v1/explain/404", 404, router.JSON),
        ("GET", "/api/v1/explain/403", 403, router.JSON),
        ("GET", "/api/v1/explain/503", 503, router.JSON),
        ("GET", "/api/v1/explain/500", 500, router.JSON),
        ("GET", "/api/v1/explain/", 404, router.JSON),
        ("GET", "/api/v1/explain/0", 404, router.JSON),
        ("GET", "/api/v1/explain/-1", 404, router.JSON),
        ("GET", "/api/v1/explain/1x", 404, router.JSON),
        ("GET", "/api/v1/explain/99999999999", 404, router.JSON),
        ("GET", "/api/v1/explain/\xb2", 404, router.JSON),
        ("GET", "/explain/1", 200, router.HTML),
        ("GET", "/explain/1?target=web-1", 200, router.HTML),
        ("GET", "/explain/404", 404, router.HTML),
        ("GET", "/explain/403", 403, router.HTML),
        ("GET", "/explain/503", 503, router.HTML),
        ("GET", "/explain/", 404, router.TEXT),
        ("GET", "/explain/x", 404, router.TEXT),
        ("GET", "/api/v1/map/1", 200, router.BYTES),
        ("GET", "/api/v1/map/404", 404, router.JSON),
        ("GET", "/api/v1/map/0", 404, router.JSON),
        ("POST", "/explain/1", 405, router.TEXT),
        ("GET", "/api/v1/", 404, router.JSON),
        ("GET", "/nonsense", 404, router.TEXT),
        ("GET", "/metrics/", 404, router.TEXT),
        ("GET", "/../etc/passwd", 404, router.TEXT),
        ("GET", "//metrics", 404, router.TEXT),
        ("GET", "*", 404, router.TEXT),
        ("GET", "/favicon.ico", 404, router.TEXT),
        ("POST", "/metrics", 405, router.TEXT),
        ("OPTIONS", "/metrics", 405, router.TEXT),
        ("DELETE", "/api/v1/scan", 405, router.JSON),
        ("POST", "/nonsense", 404, router.TEXT),
    ],
)
def test_each_path_gives_its_answer(
    address: str, method: str, path: str, status: int, content_type: str
) -> None:
    reply = get(address, path, method=method)

    assert (reply.status, reply.headers["content-type"]) == (status, content_type)
    # it may hold still a moment later
    assert reply.headers.get("retry-after") == ("1" if status == 503 else None)
    assert reply.headers["connection"] == "close"
    assert (reply.headers.get("allow") == "GET, HEAD") == (status == 405)
    if method == "HEAD":
        assert reply.body == b""
        assert int(reply.headers["content-length"]) > 0
    else:
        assert len(reply.body) == int(reply.headers.get("content-length", len(reply.body)))
        assert ("content-length" in reply.headers) != ("transfer-encoding" in reply.headers)
    if content_type == router.JSON:
        assert isinstance(json.loads(reply.body), dict)


def test_errors_of_the_api_say_what_is_wrong_in_json(address: str) -> None:
    assert json.loads(get(address, "/api/v1/explain/404").body) == {"error": "process 404 is gone"}


def test_a_bug_behind_a_path_is_not_told_to_the_client(address: str) -> None:
    assert b"ZeroDivision" not in get(address, "/api/v1/explain/500").body


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'vmad.export.explain_json'"),
        FileNotFoundError(2, "No such file", str(Path(vmad.__file__).parent / "export/flame.css")),
    ],
)
def test_a_package_that_was_replaced_under_the_daemon_is_told_with_the_remedy(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    content = SampleContent(sample_snapshot())
    content.explaining = fail
    with serving(content) as address:
        replies = [get(address, "/api/v1/explain/1") for _ in range(3)]

    assert {reply.status for reply in replies} == {503}
    assert json.loads(replies[0].body)["error"].endswith("restart the daemon")
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_file_that_is_missing_elsewhere_is_no_replaced_package() -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "No such file", "/proc/1/absent")

    content = SampleContent(sample_snapshot())
    content.explaining = fail
    with serving(content) as address:
        assert get(address, "/api/v1/explain/1").status == 500


@pytest.mark.parametrize(
    ("path", "status"),
    [("/-/healthy", 200), ("/-/ready", 503), ("/", 200), ("/metrics", 200), ("/api/v1/scan", 503)],
)
def test_before_the_first_scan_vmad_is_alive_but_not_ready(
    early: str, path: str, status: int
) -> None:
    reply = get(early, path)

    assert reply.status == status
    assert ("retry-after" in reply.headers) == (status == 503)
    assert reply.body.count(b"\n") >= 1


@pytest.mark.parametrize(
    ("accept", "openmetrics_wanted"),
    [
        (ACCEPT_PROMETHEUS_2, True),
        (ACCEPT_PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.1, text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("*/*", False),
        (";;,,q=,=", False),
    ],
)
def test_client_chooses_the_format(address: str, accept: str, openmetrics_wanted: bool) -> None:
    reply = get(address, "/metrics", {"Accept": accept})

    expected = router.METRICS_OPENMETRICS if openmetrics_wanted else router.METRICS_TEXT
    assert reply.headers["content-type"] == expected
    assert reply.body.endswith(b"# EOF\n") == openmetrics_wanted


def test_content_types_are_those_of_prometheus_client() -> None:
    """Debian 12's 0.16 has one plain format, and calls the same OpenMetrics lines 0.0.1."""
    exposition = prometheus_client.exposition
    plain = getattr(exposition, "CONTENT_TYPE_PLAIN_0_0_4", exposition.CONTENT_TYPE_LATEST)
    assert plain == router.METRICS_TEXT
    latest = openmetrics.CONTENT_TYPE_LATEST
    assert latest.replace("version=0.0.1", "version=1.0.0") == router.METRICS_OPENMETRICS


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [("gzip", True), ("gzip, deflate, br", True), ("*", True), ("br", False), ("gzip;q=0", False)],
)
@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_gzip_is_given_to_those_who_take_it(
    address: str, path: str, accepted: str, compressed: bool
) -> None:
    plain = get(address, path)
    reply = get(address, path, {"Accept-Encoding": accepted})

    assert (reply.headers.get("content-encoding") == "gzip") == compressed
    assert "Accept-Encoding" in reply.headers["vary"]
    body = gzip.decompress(reply.body) if compressed else reply.body
    if path == "/":
        assert body == plain.body
    else:
        # prometheus_client's own metrics at the end change from one look to the next
        assert body.partition(b"# HELP process_")[0] == plain.body.partition(b"# HELP process_")[0]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GET /-/healthy HTTP/1.0\r\n\r\n", 200),
        (b"\r\nGET /-/healthy HTTP/1.0\r\n\r\n", 200),
        (b"GET /-/healthy HTTP/1.0\n\n", 200),
        (b"GET /-/healthy HTTP/1.1\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /-/healthy\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.0 \r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.0\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nA: 1\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nA : 1\r\n\r\n", 400),
        (b"GET /" + b"a" * 8200 + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET /" + b"a" * 900_000, 414),
        (b"GET / HTTP/1.0\r\nA: " + b"a" * 8200 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\n" + b"A: 1\r\n" * 65 + b"\r\n", 431),
        (b"POST /metrics HTTP/1.0\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, 405),
    ],
    ids=range(17),
)
def test_odd_requests_are_answered_in_bounds(address: str, message: bytes, status: int) -> None:
    assert parse_reply(send(address, message)).status == status


def test_page_may_load_nothing_from_elsewhere(address: str) -> None:
    headers = get(address, "/").headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_one_large_answer_is_given_at_a_time_and_the_others_wait_a_little() -> None:
    content = SampleContent(sample_snapshot())
    entered, leave = threading.Semaphore(0), threading.Event()

    def explain_slowly() -> None:
        entered.release()
        leave.wait()

    content.explaining = explain_slowly
    replies: list[int] = []
    with serving(content) as address:

        def ask() -> None:
            replies.append(get(address, "/api/v1/explain/7").status)

        first = threading.Thread(target=ask)
        first.start()
        entered.acquire()
        second = threading.Thread(target=ask)
        second.start()
        others = [get(address, path).status for path in ("/-/healthy", "/metrics", "/")]
        assert not entered.acquire(blocking=False)
        leave.set()
        for asker in (first, second):
            asker.join()

    assert others == [200, 200, 200]
    assert replies == [200, 200]


def test_fifth_that_waits_for_a_large_answer_is_put_off() -> None:
    content = SampleContent(sample_snapshot())
    entered, leave = threading.Event(), threading.Event()

    def explain_slowly() -> None:
        entered.set()
        leave.wait()

    content.explaining = explain_slowly
    with serving(content) as address:
        waiting = [connect(address) for _ in range(8)]
        try:
            waiting[0].sendall(b"GET /api/v1/explain/7 HTTP/1.0\r\n\r\n")
            entered.wait()
            for one in waiting[1:]:
                one.sendall(b"GET /api/v1/explain/7 HTTP/1.0\r\n\r\n")
            # four wait, the others are told so at once
            put_off: list[Reply] = []
            while len(put_off) < 3:
                ready, _, _ = select.select(waiting, [], [], 20)
                put_off += [parse_reply(read_all(one)) for one in ready]
                waiting = [one for one in waiting if one not in ready]
            leave.set()
            answered = [parse_reply(read_all(one)).status for one in waiting]
        finally:
            leave.set()
            for one in waiting:
                one.close()

    assert [(one.status, "retry-after" in one.headers) for one in put_off] == [(503, True)] * 3
    assert answered == [200] * 5
