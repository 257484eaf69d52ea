# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every condition of the catalogue, built for real, judged by every evidence, asked the kernel."""
