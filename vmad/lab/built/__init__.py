# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels that are built here: source, patch series, configuration, make."""
