# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Grafana dashboards, made with Grafana's own schema types (development only: the `dev` extra)."""
