# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The same workload on several kernels, and the report."""
