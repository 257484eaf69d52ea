# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The atlas: real programs under loads of our own, their VMAs before and after each advice.

`make atlas`. It stands beside the benchmark, since it measures on this machine and is no test.
"""
