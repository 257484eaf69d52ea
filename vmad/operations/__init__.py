# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What runs around vmad, made by code: Prometheus rules, the runbook, Grafana dashboards."""
