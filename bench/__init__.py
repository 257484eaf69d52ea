# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The benchmark: every figure against its counterpart in the same run, written down as ratios."""
