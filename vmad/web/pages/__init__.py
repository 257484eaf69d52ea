# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is shown in a browser: HTML from a snapshot, without a server."""
