"""A function's LoggingConfig: how a request changes it, and how the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.registry.model import LoggingConfig
from gateway.lambda_api.errors import invalid_parameter

_LEVELS = ("ApplicationLogLevel", "SystemLogLevel")


def changed_logging_config(current: LoggingConfig, given: Mapping[str, Any]) -> LoggingConfig:
    """What a request makes of the current one: members that it leaves out stay.

    Raises ApiError for levels of a format that has none: only lines of JSON say their level.
    """
    log_format = given.get("LogFormat", current.log_format)
    log_group = given.get("LogGroup", current.log_group)
    if log_format == "Text":
        if any(level in given for level in _LEVELS):
            raise invalid_parameter(f"{' and '.join(_LEVELS)} need the LogFormat JSON.")
        return LoggingConfig(log_group=log_group)
    return LoggingConfig(
        log_format=log_format,
        application_log_level=given.get("ApplicationLogLevel", current.application_log_level),
        system_log_level=given.get("SystemLogLevel", current.system_log_level),
        log_group=log_group,
    )


def describe_logging_config(function_name: str, config: LoggingConfig) -> dict[str, str]:
    """As the API shows it: with the log group that is used, and levels where the format has them."""
    levels = (config.application_log_level, config.system_log_level)
    return {
        "LogFormat": config.log_format,
        **(dict(zip(_LEVELS, levels, strict=True)) if config.log_format == "JSON" else {}),
        "LogGroup": config.group_of(function_name),
    }
