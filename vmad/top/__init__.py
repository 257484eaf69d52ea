# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The live view of a terminal: what it shows (pure), what it watches, and what draws it."""
