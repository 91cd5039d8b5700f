"""Operations on what happens to asynchronous invocations: retries, age, destinations."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from broker.errors import FunctionNotFound
from broker.invocation import LATEST
from broker.registry import changes
from broker.registry.event_invoke_configs import (
    NoEventInvokeConfig,
    delete_event_invoke_config,
    event_invoke_config,
    set_event_invoke_config,
    update_event_invoke_config,
)
from broker.registry.model import EventInvokeConfig, FunctionRecord
from gateway.lambda_api.context import Context
from gateway.lambda_api.destinations import check_destination
from gateway.lambda_api.errors import invalid_parameter, not_found
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]


async def put_function_event_invoke_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    config = EventInvokeConfig(last_modified=time.time(), **await _members(context, request, name))
    record = await _existing(
        context.registry.update(name, lambda r: set_event_invoke_config(r, qualifier, config))
    )
    return _describe(context, record, qualifier)


async def update_function_event_invoke_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    members = {"last_modified": time.time(), **await _members(context, request, name)}
    record = await _existing(
        context.registry.update(name, lambda r: update_event_invoke_config(r, qualifier, members))
    )
    return _describe(context, record, qualifier)


async def get_function_event_invoke_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    with _nothing_there(name, qualifier):
        return _describe(context, await context.registry.get(name), qualifier)


async def delete_function_event_invoke_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    with _nothing_there(name, qualifier):
        await context.registry.update(name, lambda r: delete_event_invoke_config(r, qualifier))
    return {}


async def list_function_event_invoke_configs(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request)
    record = await _existing(context.registry.get(name))
    keyed = [(key, _describe(context, record, key)) for key in sorted(record.event_invoke_configs)]
    listed = await page_of(request, keyed)
    return {"FunctionEventInvokeConfigs": listed.items, "NextMarker": listed.next_marker}


def _named(context: Context, request: Request) -> tuple[str, str]:
    name, qualifier = named_function(context, request)
    return name, qualifier or LATEST


async def _existing(step: Awaitable[FunctionRecord]) -> FunctionRecord:
    """What `step` gives, with these operations' own words for a function that is not there."""
    try:
        return await step
    except (FunctionNotFound, changes.QualifierNotFound) as error:
        raise not_found("The function doesn't exist.") from error


@contextmanager
def _nothing_there(name: str, qualifier: str) -> Iterator[None]:
    """These operations tell a missing function from a missing configuration as little as AWS's do."""
    try:
        yield
    except FunctionNotFound as error:
        raise NoEventInvokeConfig(name, qualifier) from error


async def _members(context: Context, request: Request, name: str) -> dict[str, Any]:
    """Fields of EventInvokeConfig that the request sets. Raises ApiError."""
    members = {}
    if "MaximumRetryAttempts" in request:
        members["maximum_retry_attempts"] = request["MaximumRetryAttempts"]
    if "MaximumEventAgeInSeconds" in request:
        members["maximum_event_age_seconds"] = request["MaximumEventAgeInSeconds"]
    destinations = request.get("DestinationConfig")
    if destinations is not None:
        members["on_success"] = destinations.get("OnSuccess", {}).get("Destination", "")
        members["on_failure"] = destinations.get("OnFailure", {}).get("Destination", "")
    if not members:
        raise invalid_parameter("You must specify at least one of error handling or destination setting.")
    # Retries and age of a function that is not there are refused first, as on AWS.
    await _existing(context.registry.get(name))
    if arn := members.get("on_success"):
        await check_destination(context, name, arn, "OnSuccess")
    if arn := members.get("on_failure"):
        await check_destination(context, name, arn, "OnFailure")
    return members


def _describe(context: Context, record: FunctionRecord, qualifier: str) -> Result:
    config = event_invoke_config(record, qualifier)
    return {
        "LastModified": config.last_modified,
        "FunctionArn": context.names.arn(record.name, qualifier),
        "MaximumRetryAttempts": config.maximum_retry_attempts,
        "MaximumEventAgeInSeconds": config.maximum_event_age_seconds,
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success or None},
            "OnFailure": {"Destination": config.on_failure or None},
        },
    }
