# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What Prometheus gets. A metric is an entry of one of the sections, and nothing else."""
