# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels that can be booted: what the mirror offers, what is on disk, which modules to load."""
