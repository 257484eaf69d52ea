# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every expression of every rule and panel returns data from real servers.

Debian's Prometheus, Prometheus 3, and VictoriaMetrics, which vmagent writes to and vmalert asks.
They scrape a real daemon that watches a process with pairs of all sorts, whose map_count grows,
and beside it a page of metrics with as many groups and reasons as a host can have.
"""

from __future__ import annotations

import platform
import re
import resource
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.e2e.panel_pictures import document, photographed
from tests.e2e.prometheus_server import Prometheus, TimeSeriesServer
from tests.e2e.victoria_metrics import TOOLS, VictoriaMetrics
from tests.live.targets import Target
from tests.unit.operations.expressions import PanelQuery, filled_in, panel_queries, panels
from tests.unit.sample import crowded_snapshot, self_stats
from vmad.export.metrics.exposition import Exposition
from vmad.operations.dashboards.files import FILES as DASHBOARDS
from vmad.operations.recordings import FLEET, SERIES_PER_HOST
from vmad.operations.rule_files import FILES, GROUPS
from vmad.operations.rules import Alert, Recording

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
ALERTS = [rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)]
LOAD = "vmad-load"
#: metrics without these come and go with processes
HOLDS_STILL = re.compile(r"vmad_(?!top_|group_|limit_failures_total)")

SERVERS: dict[str, Callable[[Path, Mapping[str, str], Sequence[Path]], TimeSeriesServer]] = {
    "prometheus": Prometheus
}
if platform.machine() == "x86_64":  # the others are fetched for that alone
    SERVERS["prometheus-3"] = partial(Prometheus, program=TOOLS / "prometheus-3")
    SERVERS["victoria-metrics"] = VictoriaMetrics

CONFIG = f"""
scan: {{interval: 1s, full_every: 2, sample_interval: 200ms, budget: 100%}}
export: {{top: 100}}
groups:
  - match: {{comm: {LOAD}}}
    name: {LOAD}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """The server, the daemon, and the pid of what that watches."""

    server: TimeSeriesServer
    daemon: Daemon
    pid: int

    def filled(self, expr: str) -> str:
        """An expression about the daemon, with what a few seconds cannot have cut short."""
        filled = filled_in(expr, job="vmad", instance=self.daemon.address, group=LOAD, window="30s")
        filled = re.sub(r"\[\w+:\w+\]", "[30s:1s]", filled)
        return re.sub(r"offset \w+", "offset 2s", filled)

    def asked(self, expr: str) -> list[dict[str, Any]]:
        """The daemon's series of an expression."""
        every = self.server.query(self.filled(expr))
        return [series for series in every if series["metric"].get("job", "vmad") == "vmad"]


@pytest.fixture(scope="module")
def crowded() -> Iterator[str]:
    """The address of a page of metrics with many groups."""
    snapshot = crowded_snapshot()
    page = Exposition(self_stats(), snapshot).render()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module", params=SERVERS)
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, crowded: str
) -> Iterator[Scene]:
    """All of it, once enough has been scraped and evaluated."""
    directory = tmp_path_factory.mktemp("scene")
    with Target(LOAD) as target, Daemon(directory, CONFIG) as daemon:
        for layout in ("faulted_apart", "halves_swapped", "moved_beside_faulted", "emptied"):
            target.build(layout)
        target.build("guard_pages", pairs=2_000)
        daemon.ready()
        # a refused configuration makes an alert pending
        daemon.configure("scan: {interval: fast}")
        daemon.reload()
        targets = {"vmad": daemon.address, "crowded-vmad": crowded}
        rules = [RULES / name for name in FILES]
        with SERVERS[request.param](directory, targets, rules) as server:
            here = f'instance="{daemon.address}"'

            def evaluated() -> bool:
                target.build("guard_pages", pairs=2)  # as long as we wait, and never to its end
                scanned = server.query(f"changes(vmad_scans_total{{{here}}}[1m]) > 6")
                recorded = server.query(f"instance:vmad_cpu:rate5m{{{here}}}")
                growing = server.query(f"instance:vmad_seconds_to_limit:min{{{here}}}")
                pending = server.query(f'ALERTS{{alertname="VmadConfigRefused", {here}}}')
                return bool(scanned and recorded and growing and pending)

            wait_for("scrapes and evaluations", evaluated)
            yield Scene(server, daemon, target.pid)


def test_every_rule_is_evaluated_without_an_error(scene: Scene) -> None:
    rules = scene.server.rules()

    assert {rule["name"] for rule in rules} == {r.name for g in GROUPS for r in g.rules}
    assert [rule for rule in rules if rule.get("lastError")] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_both_sides_of_every_condition_have_data(scene: Scene, alert: Alert) -> None:
    for condition in alert.conditions:
        for side in condition.expressions:
            # "unless … offset" asks for series that have just begun; here all have gone on for long
            assert scene.asked(re.sub(r" unless \S+ offset \w+", "", side)), side


@pytest.mark.parametrize("rule", FLEET.rules, ids=lambda rule: rule.name)
def test_every_recording_has_data(scene: Scene, rule: Recording) -> None:
    assert scene.asked(rule.name)


@pytest.mark.parametrize("query", list(panel_queries()), ids=str)
def test_every_panel_has_data(scene: Scene, query: PanelQuery) -> None:
    assert scene.asked(query.expr)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_graph_of_a_dashboard_is_drawn(scene: Scene, name: str, tmp_path: Path) -> None:
    html = document(scene.server, name, scene.filled)
    picture = tmp_path / f"{name}.png"
    photographed(html, picture)

    for panel in panels(name):
        if panel["type"] == "timeseries":
            title = re.escape(escape(panel["title"]))
            (drawn,) = re.findall(rf"<h2>{title}</h2>(.*?)</section>", html, re.DOTALL)
            assert "<polyline" in drawn, panel["title"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_address_space_is_what_the_kernel_says(scene: Scene) -> None:
    pages = int(Path(f"/proc/{scene.pid}/statm").read_text().split()[0])
    wanted = pages * resource.getpagesize()
    size = f'vmad_group_address_space_bytes{{group="{LOAD}"}} == {wanted}'

    wait_for("the size of the load", lambda: scene.asked(size))


def test_a_metric_that_is_not_there_has_no_data(scene: Scene) -> None:
    assert scene.asked("vmad_group_limit_ration") == []


@pytest.mark.parametrize("rule", FLEET.rules, ids=lambda rule: rule.name)
def test_a_recording_keeps_to_its_number_of_series(scene: Scene, rule: Recording) -> None:
    counted = scene.server.query(f"count by (job, instance) ({rule.name})")

    assert len(counted) >= 1
    assert all(int(each["value"][1]) <= rule.at_most for each in counted)


def test_a_host_with_many_groups_costs_a_fleet_no_more_than_stated(scene: Scene) -> None:
    counted = scene.server.query('count by (job) ({__name__=~"instance:vmad_.+"})')
    scraped = scene.server.query('scrape_samples_scraped{job="crowded-vmad"}')

    assert int(scraped[0]["value"][1]) > 1_000
    assert {each["metric"]["job"] for each in counted} == {"vmad", "crowded-vmad"}
    assert all(int(each["value"][1]) <= SERIES_PER_HOST for each in counted)


def test_all_that_is_served_is_stored(scene: Scene) -> None:
    """Info metrics, counters and label values that need escaping, too."""

    def complete() -> bool:
        here = f'{{job="vmad", instance="{scene.daemon.address}"}}'
        stored = {
            (labels.pop("__name__"), frozenset(labels.items()) - {("job", "vmad")})
            for labels in (dict(series["metric"]) for series in scene.server.query(here))
        }
        instance = ("instance", scene.daemon.address)
        served = {
            (name, labels | {instance})
            for name, labels in scene.daemon.series()
            if HOLDS_STILL.match(name)
        }
        assert len(served) > 50
        return served <= stored

    wait_for("every series", complete)
