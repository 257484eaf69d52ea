# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The Kubernetes files are current, valid, alike in both forms, and ask for little."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.unit.operations.crd_schemas import SCHEMAS
from vmad.config import load_config
from vmad.operations.kubernetes.files import BASE, OBJECTS, VALUES, base_files, chart_files
from vmad.operations.kubernetes.objects import daemon_set

DEPLOY = Path(__file__).parents[3] / "deploy" / "kubernetes"
#: the oldest that the chart names, and the newest that the validator knows
RELEASES = ("1.25", kubernetes_validate.latest_version())
MANIFESTS = [name for name in base_files() if name != "kustomization.yaml"]


def _read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "base" / name).read_text())


def _check(thing: dict[str, Any], release: str) -> None:
    schema = SCHEMAS.get(thing["kind"])
    if schema is not None:
        jsonschema.validate(thing, schema)
    else:
        kubernetes_validate.validate(thing, release, strict=True)


def _rendered(text: str, values: dict[str, Any]) -> str:
    """What Helm makes of our templates: the few forms that they use, and no other."""

    def looked_up(path: str) -> Any:
        found: Any = {
            "Values": values,
            "Release": {"Namespace": BASE.namespace},
            "Chart": yaml.safe_load(chart_files()["Chart.yaml"])
            | {"AppVersion": yaml.safe_load(chart_files()["Chart.yaml"])["appVersion"]},
        }
        for part in path.strip(".").split("."):
            found = found[part]
        return found

    def expression(found: re.Match[str]) -> str:
        inner = found[1].strip()
        if inner.startswith('"'):
            return str(json.loads(inner))
        if block := re.fullmatch(r"(toYaml )?(\.[\w.]+) \| indent (\d+)", inner):
            value = looked_up(block[2])
            text = yaml.safe_dump(value) if block[1] else value
            return "\n".join(" " * int(block[3]) + line for line in text.rstrip("\n").split("\n"))
        if default := re.fullmatch(r"(\.[\w.]+) \| default (\.[\w.]+)", inner):
            return str(looked_up(default[1]) or looked_up(default[2]))
        assert re.fullmatch(r"\.[\w.]+", inner), f"a form that the test does not know: {inner}"
        return str(looked_up(inner))

    switched = re.compile(r"\{\{- if (\.[\w.]+) \}\}\n(.*)\{\{- end \}\}\n", re.DOTALL)
    text = switched.sub(lambda found: found[2] if looked_up(found[1]) else "", text)
    return re.sub(r"\{\{(?!-)(.+?)\}\}(?!\s*\")", expression, text)


def test_pods_go_where_the_image_runs_and_nowhere_else() -> None:
    """Nodes are asked for by the two architectures that the image is made for at once."""
    required = daemon_set(BASE)["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (asked,) = term["matchExpressions"]
    image = (DEPLOY.parent / "container" / "Containerfile").read_text()
    platforms = re.search(r"--platform (\S+)", image)

    assert platforms is not None
    assert (asked["key"], asked["operator"]) == ("kubernetes.io/arch", "In")
    assert [f"linux/{name}" for name in asked["values"]] == platforms[1].split(",")


def test_the_committed_files_are_what_the_code_writes() -> None:
    written = {f"base/{name}": text for name, text in base_files().items()}
    written |= {f"helm/vmad/{name}": text for name, text in chart_files().items()}
    committed = {
        str(path.relative_to(DEPLOY)): path.read_text()
        for path in DEPLOY.rglob("*")
        if path.is_file()
    }

    assert committed == written, "run make docs"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", MANIFESTS)
def test_each_object_is_valid(name: str, release: str) -> None:
    _check(_read(name), release)


def test_a_misspelt_field_would_be_told() -> None:
    thing = daemon_set(BASE)
    thing["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        _check(thing, RELEASES[0])
    rule = _read("podmonitor.yaml")
    rule["spec"]["podMetricsEndpoints"][0]["relabelConfigs"] = []
    with pytest.raises(jsonschema.ValidationError):
        _check(rule, RELEASES[0])


@pytest.mark.parametrize("name", OBJECTS)
def test_the_chart_with_its_values_is_the_base(name: str) -> None:
    template = (DEPLOY / "helm" / "vmad" / "templates" / f"{name}.yaml").read_text()
    rendered = yaml.safe_load(_rendered(template, yaml.safe_load(VALUES)))
    base = _read(f"{name}.yaml")
    if name == "configmap":
        # the chart's text block ends without a newline
        base["data"]["vmad.yaml"] = base["data"]["vmad.yaml"].rstrip("\n")

    assert rendered == base


@pytest.mark.parametrize("switch", ["networkPolicy", "podMonitor", "prometheusRule"])
def test_what_is_switched_off_is_left_out(switch: str) -> None:
    values = yaml.safe_load(VALUES)
    values[switch]["enabled"] = False
    template = chart_files()[f"templates/{switch.lower()}.yaml"]

    assert yaml.safe_load(_rendered(template, values)) is None


def test_the_pod_asks_for_little() -> None:
    pod = _read("daemonset.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    rights = container["securityContext"]

    assert rights["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON"]}
    assert rights["privileged"] is rights["allowPrivilegeEscalation"] is False
    assert rights["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert not pod.get("hostNetwork")
    assert not pod.get("hostIPC")
    assert all("hostPath" not in volume for volume in pod["volumes"])


def test_the_configuration_in_it_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "vmad.yaml"
    path.write_text(_read("configmap.yaml")["data"]["vmad.yaml"])
    config = load_config(str(path))

    assert not config.scan.events
    (listen,) = config.web.listen
    port = _read("daemonset.yaml")["spec"]["template"]["spec"]["containers"][0]["ports"][0]
    assert port["containerPort"] == listen.port


def test_the_rules_are_those_of_prometheus() -> None:
    shipped = [
        group
        for name in ("vmad-alerts.yml", "vmad-fleet.yml")
        for group in yaml.safe_load((DEPLOY.parent / "prometheus" / "rules" / name).read_text())[
            "groups"
        ]
    ]

    assert _read("prometheusrule.yaml")["spec"]["groups"] == shipped


def test_promtool_takes_the_rules_of_the_chart(tmp_path: Path) -> None:
    template = chart_files()["templates/prometheusrule.yaml"]
    rendered = yaml.safe_load(_rendered(template, yaml.safe_load(VALUES)))
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(rendered["spec"]))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
