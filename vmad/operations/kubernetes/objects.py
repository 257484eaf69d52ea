# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What runs vmad on every node of a cluster, as plain Kubernetes objects.

Least rights: two capabilities, no ``privileged``, no token, a root file system that cannot be
written. Root is uid 0 without any other capability: Kubernetes gives added capabilities to uid 0
alone (ambient ones are not to be had).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmad.architecture.known import ARCHITECTURES
from vmad.operations.rule_files import GROUPS
from vmad.operations.rules import document

Object = dict[str, Any]

NAME = "vmad"
PORT = 19797
LABELS = {"app.kubernetes.io/name": NAME}
#: seconds of patience of the watchdog; without a service manager vmad ends itself
WATCHDOG_SECONDS = 60

#: every key that differs from `vmad serve` without a file, and why
CONFIGURATION = """\
# Every key: /usr/share/doc/vmad/configuration.md
scan:
  # the kernel tells of processes in the initial network namespace alone, and a pod has its own
  events: false
web:
  listen: [":19797"]
groups:
  # a pod keeps its group when a container of it starts again
  - match: {cgroup: '.*kubepods.*'}
    name: pod/{pod}/{comm}
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between clusters. The chart puts placeholders here."""

    namespace: str
    image: str
    runbook: str
    monitoring_namespace: str
    configuration: Any = CONFIGURATION
    resources: Any = None
    tolerations: Any = None
    node_selector: Any = None

    @property
    def needed(self) -> Mapping[str, Any]:
        """Memory as the systemd unit has it.

        No limit on CPU: a task that is throttled inside the kernel keeps the mmap_lock that it
        holds of another process. vmad keeps to 1 % of a core itself.
        """
        return self.resources or {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        }


def _metadata(settings: Settings, name: str = NAME) -> Object:
    return {"name": name, "namespace": settings.namespace, "labels": dict(LABELS)}


def namespace(settings: Settings) -> Object:
    """hostPID and added capabilities are beyond the Pod Security Standards' baseline."""
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "privileged"}
    metadata = {"name": settings.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def service_account(settings: Settings) -> Object:
    """An account of its own, with no rights and no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(settings),
        "automountServiceAccountToken": False,
    }


def config_map(settings: Settings) -> Object:
    """vmad.yaml."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(settings),
        "data": {"vmad.yaml": settings.configuration},
    }


#: nodes that there are packages and images for; Kubernetes calls them as Debian does
_AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/arch",
                            "operator": "In",
                            "values": sorted(known.debian for known in ARCHITECTURES),
                        }
                    ]
                }
            ]
        }
    }
}


def daemon_set(settings: Settings) -> Object:
    """One pod for each node."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _metadata(settings),
        "spec": {
            "selector": {"matchLabels": dict(LABELS)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    # the processes of the node are what it is there to see
                    "hostPID": True,
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "nodeSelector": settings.node_selector or {"kubernetes.io/os": "linux"},
                    "affinity": _AFFINITY,
                    "tolerations": settings.tolerations or [{"operator": "Exists"}],
                    "terminationGracePeriodSeconds": 15,
                    "containers": [_container(settings)],
                    "volumes": [
                        {"name": "configuration", "configMap": {"name": NAME}},
                        {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}},
                    ],
                },
            },
        },
    }


def _container(settings: Settings) -> Object:
    def probe(path: str, **more: int) -> Object:
        return {"httpGet": {"path": path, "port": "metrics"}, "timeoutSeconds": 5, **more}

    return {
        "name": NAME,
        "image": settings.image,
        "args": ["serve", "--config", "/etc/vmad/vmad.yaml"],
        "env": [
            {"name": "STATE_DIRECTORY", "value": "/var/lib/vmad"},
            {"name": "WATCHDOG_USEC", "value": str(WATCHDOG_SECONDS * 1_000_000)},
        ],
        "ports": [{"name": "metrics", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": probe("/-/ready", periodSeconds=15),
        "livenessProbe": probe("/-/healthy", periodSeconds=30, failureThreshold=4),
        "resources": settings.needed,
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,
            "runAsGroup": 0,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
        },
        "volumeMounts": [
            {"name": "configuration", "mountPath": "/etc/vmad", "readOnly": True},
            {"name": "state", "mountPath": "/var/lib/vmad"},
        ],
    }


def network_policy(settings: Settings) -> Object:
    """Only the Prometheus of the monitoring namespace: the page names processes."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(settings),
        "spec": {
            "podSelector": {"matchLabels": dict(LABELS)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {
                                    "kubernetes.io/metadata.name": settings.monitoring_namespace
                                }
                            }
                        }
                    ],
                    "ports": [{"protocol": "TCP", "port": "metrics"}],
                }
            ],
            "egress": [],
        },
    }


def pod_monitor(settings: Settings) -> Object:
    """For the Prometheus operator. A node's name is its instance, whatever pod runs there."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _metadata(settings),
        "spec": {
            "selector": {"matchLabels": dict(LABELS)},
            "sampleLimit": 10000,
            "podMetricsEndpoints": [
                {
                    "port": "metrics",
                    "interval": "15s",
                    "scrapeTimeout": "5s",
                    "relabelings": [
                        {
                            "sourceLabels": ["__meta_kubernetes_pod_node_name"],
                            "targetLabel": "instance",
                        }
                    ],
                }
            ],
        },
    }


def prometheus_rule(settings: Settings) -> Object:
    """The rules of deploy/prometheus."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(settings),
        "spec": dict(document(GROUPS, settings.runbook)),
    }
