"""The steps that configure asynchronous invocations of a qualifier: pure, like `changes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.registry.changes import ChangeRefused, check_qualifier
from broker.registry.model import EventInvokeConfig, FunctionRecord


class NoEventInvokeConfig(ChangeRefused):
    """Nothing was configured for that qualifier."""

    def __init__(self, function_name: str, qualifier: str) -> None:
        super().__init__(f"function {function_name} has no event invoke config for {qualifier}")
        self.function_name = function_name
        self.qualifier = qualifier


def set_event_invoke_config(
    record: FunctionRecord, qualifier: str, config: EventInvokeConfig
) -> FunctionRecord:
    """With a qualifier's event invoke config set or replaced. Raises QualifierNotFound."""
    check_qualifier(record, qualifier)
    return replace(record, event_invoke_configs={**record.event_invoke_configs, qualifier: config})


def update_event_invoke_config(
    record: FunctionRecord, qualifier: str, members: Mapping[str, Any]
) -> FunctionRecord:
    """With `members` (fields of EventInvokeConfig) replaced.

    Raises QualifierNotFound, NoEventInvokeConfig.
    """
    check_qualifier(record, qualifier)
    config = replace(event_invoke_config(record, qualifier), **members)
    return set_event_invoke_config(record, qualifier, config)


def delete_event_invoke_config(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without a qualifier's event invoke config. Raises NoEventInvokeConfig."""
    event_invoke_config(record, qualifier)
    left = {key: config for key, config in record.event_invoke_configs.items() if key != qualifier}
    return replace(record, event_invoke_configs=left)


def event_invoke_config(record: FunctionRecord, qualifier: str) -> EventInvokeConfig:
    """What is configured for a qualifier. Raises NoEventInvokeConfig."""
    config = record.event_invoke_configs.get(qualifier)
    if config is None:
        raise NoEventInvokeConfig(record.name, qualifier)
    return config
