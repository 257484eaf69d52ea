# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon besieged: clients and processes in numbers, beside the exporters that others use."""
