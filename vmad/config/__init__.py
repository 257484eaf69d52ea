# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Configuration: a schema of dataclasses, and a YAML file whose every mistake has a line."""

from vmad.config.describe import describe, settings
from vmad.config.load import RefusedConfig, load_config, parse_config
from vmad.config.schema import (
    OTHER,
    Config,
    ExportConfig,
    GroupMatch,
    GroupRule,
    ScanConfig,
    ThresholdsConfig,
    WebConfig,
)
from vmad.config.template import NameTemplate
from vmad.config.values import Listen, ListenAddress

__all__ = [
    "OTHER",
    "Config",
    "ExportConfig",
    "GroupMatch",
    "GroupRule",
    "Listen",
    "ListenAddress",
    "NameTemplate",
    "RefusedConfig",
    "ScanConfig",
    "ThresholdsConfig",
    "WebConfig",
    "describe",
    "load_config",
    "parse_config",
    "settings",
]
