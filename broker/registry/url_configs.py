"""The steps that give functions and aliases HTTP addresses and take them away: pure, like `changes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.registry.changes import ChangeRefused, check_qualifier
from broker.registry.model import FunctionRecord, FunctionUrlConfig


class UrlConfigExists(ChangeRefused):
    """The function or alias has a URL already."""


class NoUrlConfig(ChangeRefused):
    """The function or alias has no URL."""


def create_url_config(record: FunctionRecord, qualifier: str, config: FunctionUrlConfig) -> FunctionRecord:
    """With a URL for `qualifier`. Raises QualifierNotFound, UrlConfigExists."""
    check_qualifier(record, qualifier)
    if qualifier in record.url_configs:
        raise UrlConfigExists(f"{record.name}:{qualifier} has a function URL already")
    return _with(record, qualifier, config)


def update_url_config(record: FunctionRecord, qualifier: str, members: Mapping[str, Any]) -> FunctionRecord:
    """With `members` (fields of FunctionUrlConfig) replaced. Raises NoUrlConfig."""
    return _with(record, qualifier, replace(url_config(record, qualifier), **members))


def delete_url_config(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without it. Raises NoUrlConfig."""
    url_config(record, qualifier)
    left = {key: config for key, config in record.url_configs.items() if key != qualifier}
    return replace(record, url_configs=left)


def url_config(record: FunctionRecord, qualifier: str) -> FunctionUrlConfig:
    """The URL of a qualifier. Raises NoUrlConfig."""
    config = record.url_configs.get(qualifier)
    if config is None:
        raise NoUrlConfig(f"{record.name}:{qualifier} has no function URL")
    return config


def _with(record: FunctionRecord, qualifier: str, config: FunctionUrlConfig) -> FunctionRecord:
    return replace(record, url_configs={**record.url_configs, qualifier: config})
