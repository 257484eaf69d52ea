# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Prometheus 3 reads /metrics by each protocol that it may ask for, and knows what it reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.daemons import Daemon, wait_for
from tests.e2e.prometheus_server import Prometheus, every_second
from tests.e2e.victoria_metrics import TOOLS
from vmad.export.metrics.catalogue import BY_NAME

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
PROMETHEUS_3 = TOOLS / "prometheus-3"
#: all that Prometheus 3.5 has for text
PROTOCOLS = (
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with every default."""
    with Daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon.ready()


@pytest.fixture(scope="module")
def by_protocol(tmp_path_factory: pytest.TempPathFactory, daemon: Daemon) -> Iterator[Prometheus]:
    """It scrapes the daemon by each protocol, a job for each."""
    config = every_second(dict.fromkeys(PROTOCOLS, daemon.address))
    for job in config["scrape_configs"]:
        job["scrape_protocols"] = [job["job_name"]]
    directory = tmp_path_factory.mktemp("protocols")
    with Prometheus(directory, {}, (), config, PROMETHEUS_3) as prometheus:
        wait_for("scrapes", lambda: len(prometheus.query("up == 1")) == len(PROTOCOLS))
        yield prometheus


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
def test_each_protocol_brings_the_same_names(by_protocol: Prometheus, protocol: str) -> None:
    def names(job: str) -> set[str]:
        expr = f'count by (__name__) ({{job="{job}", __name__=~"vmad_.+"}})'
        return {series["metric"]["__name__"] for series in by_protocol.query(expr)}

    plain = wait_for("names", lambda: names(PROTOCOLS[0]))
    assert len(plain) > 50
    wait_for("the same names", lambda: names(protocol) == plain)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_type_and_help_are_those_of_the_catalogue(by_protocol: Prometheus, protocol: str) -> None:
    told = {
        family["metric"]: (family["type"], family["help"])
        for family in by_protocol.api("targets/metadata", match_target=f'{{job="{protocol}"}}')
        if family["metric"].startswith("vmad_")
    }
    meant = {
        name.removesuffix("_total").removesuffix("_info") if name not in told else name: metric
        for name, metric in BY_NAME.items()
    }

    assert len(told) > 50
    for name, (kind, text) in told.items():
        # the text format has no info; OpenMetrics leaves _total and _info out of a family's name
        assert kind in (meant[name].type, "gauge" if meant[name].type == "info" else ""), name
        assert text == meant[name].help


def test_the_shipped_configuration_scrapes_and_evaluates(tmp_path: Path, daemon: Daemon) -> None:
    """deploy/prometheus as it stands, but for how often and whom."""
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    (target,) = (tmp_path / "targets").iterdir()
    target.write_text(target.read_text().replace("127.0.0.1:19797", daemon.address))
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["scrape_timeout"] = "1s"

    with Prometheus(tmp_path, {}, (), config, PROMETHEUS_3) as prometheus:
        ratio = "instance:vmad_limit_ratio:max > 0"
        recorded = wait_for("a recording", lambda: prometheus.query(ratio))

        assert [series["metric"]["instance"] for series in recorded] == [daemon.address]
        assert [rule for rule in prometheus.rules() if rule.get("lastError")] == []
