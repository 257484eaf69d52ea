# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests of another architecture than this machine's: what they run has to be fetched."""
