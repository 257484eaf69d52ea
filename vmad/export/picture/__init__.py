# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture of an address space: from its columns to what a browser or a report draws."""
