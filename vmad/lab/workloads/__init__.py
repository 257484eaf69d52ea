# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a comparison runs in its guests: workloads that ship, and the packages they need."""
