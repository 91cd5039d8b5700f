"""Operations on event source mappings: stored as triggers, which the triggers process serves."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.errors import FunctionNotFound, TriggerNotFound
from broker.invocation import LATEST, now_ms
from broker.registry import changes
from broker.registry.model import FunctionConfig
from broker.trigger_store.model import TriggerRecord, TriggerStatus
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict, invalid_parameter, not_found
from gateway.lambda_api.mapping_parameters import changed_settings, describe, new_settings
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.targets import resolved
from triggers.aws_calls.errors import ServiceError, ServiceRefused
from triggers.event_source_mapping.adapter import KIND
from triggers.event_source_mapping.queues.queue import Queue
from triggers.event_source_mapping.settings import MappingSettings

Request = dict[str, Any]
Result = dict[str, Any]


async def create_event_source_mapping(context: Context, request: Request) -> Result:
    name, qualifier, config = await _function(context, request["FunctionName"])
    settings = new_settings(request)
    await _check_queue(context, settings, config)
    now = now_ms()
    record = TriggerRecord(
        id=str(uuid.uuid4()),
        kind=KIND,
        function_name=name,
        settings=_stored(settings),
        qualifier=qualifier,
        enabled=request.get("Enabled", True),
        created_ms=now,
        modified_ms=now,
    )
    await _refuse_twin(context, record)
    stored = await context.trigger_store.create(record)
    try:
        await _refuse_twin(context, stored)
    except Exception:
        # Somebody made the same one at the same moment, and was first.
        await context.trigger_store.delete(stored.id)
        raise
    return describe(context.names, stored, settings, TriggerStatus()) | {"State": "Creating"}


async def get_event_source_mapping(context: Context, request: Request) -> Result:
    record = await existing_mapping(context, request["UUID"])
    statuses = await context.trigger_store.statuses([record.id])
    status = statuses.get(record.id, TriggerStatus())
    return describe(context.names, record, settings_of(record), status)


async def list_event_source_mappings(context: Context, request: Request) -> Result:
    await context.directory.refresh()
    records = [record for record in context.directory.of_kind(KIND) if _asked_for(context, record, request)]
    page = await page_of(request, [(record.id, {"record": record}) for record in records])
    shown: list[TriggerRecord] = [item["record"] for item in page.items]
    statuses = await context.trigger_store.statuses([record.id for record in shown])
    described = [
        describe(context.names, record, settings_of(record), statuses.get(record.id, TriggerStatus()))
        for record in shown
    ]
    return {"EventSourceMappings": described, "NextMarker": page.next_marker}


async def update_event_source_mapping(context: Context, request: Request) -> Result:
    record = await existing_mapping(context, request["UUID"])
    members: dict[str, Any] = {"modified_ms": now_ms()}
    if "FunctionName" in request:
        name, qualifier, config = await _function(context, request["FunctionName"])
        members |= {"function_name": name, "qualifier": qualifier}
        await _check_queue(context, settings_of(record), config)
        await _refuse_twin(context, replace(record, **members))
    if "Enabled" in request:
        members["enabled"] = request["Enabled"]

    def change(current: TriggerRecord) -> TriggerRecord:
        return replace(current, settings=_stored(changed_settings(settings_of(current), request)), **members)

    try:
        stored = await context.trigger_store.update(record.id, change)
    except TriggerNotFound as error:
        raise _missing() from error
    described = describe(context.names, stored, settings_of(stored), TriggerStatus())
    return described | {"State": _state_between(record, stored)}


async def delete_event_source_mapping(context: Context, request: Request) -> Result:
    record = await existing_mapping(context, request["UUID"])
    try:
        await context.trigger_store.delete(record.id)
    except TriggerNotFound as error:
        raise _missing() from error
    return describe(context.names, record, settings_of(record), TriggerStatus()) | {"State": "Deleting"}


async def existing_mapping(context: Context, mapping_id: str) -> TriggerRecord:
    """Raises ApiError where there is no such mapping."""
    try:
        record = await context.trigger_store.get(mapping_id)
    except TriggerNotFound as error:
        raise _missing() from error
    if record.kind != KIND:
        raise _missing()
    return record


async def change_tags(
    context: Context, mapping_id: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    """Give a mapping the tags that `change` makes of those it has. Raises ApiError."""
    await existing_mapping(context, mapping_id)

    def changed(record: TriggerRecord) -> TriggerRecord:
        settings = settings_of(record)
        return replace(record, settings=_stored(replace(settings, tags=change(settings.tags))))

    try:
        await context.trigger_store.update(mapping_id, changed)
    except TriggerNotFound as error:
        raise _missing() from error
    except ValueError as error:
        raise invalid_parameter(str(error)) from error


def settings_of(record: TriggerRecord) -> MappingSettings:
    """The settings of a stored mapping."""
    return msgspec.json.decode(record.settings, type=MappingSettings)


def _state_between(before: TriggerRecord, after: TriggerRecord) -> str:
    if before.enabled == after.enabled:
        return "Updating"
    return "Enabling" if after.enabled else "Disabling"


def _stored(settings: MappingSettings) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(settings))


def _missing() -> Exception:
    return not_found("The resource you requested does not exist.")


async def _function(context: Context, function_name: str) -> tuple[str, str, FunctionConfig]:
    """Name, qualifier and (main) version of a function that exists. Raises ApiError."""
    name, qualifier = context.names.parse(function_name)
    try:
        record = await context.registry.get(name)
        changes.check_qualifier(record, qualifier or LATEST)
    except (FunctionNotFound, changes.QualifierNotFound) as error:
        raise invalid_parameter("Function does not exist") from error
    return name, qualifier, resolved(context, record, qualifier)


async def _check_queue(context: Context, settings: MappingSettings, config: FunctionConfig) -> None:
    """Hold the mapping to what its queue says. Raises ApiError.

    A service that cannot be asked now is no reason to refuse: the mapping says so in its
    LastProcessingResult, and begins when the service is there.
    """
    if settings.service != "sqs":
        return
    try:
        queue = await Queue.find(context.aws_clients, settings, context.settings.account_id)
    except ServiceRefused as error:
        raise invalid_parameter(
            f"Error occurred while ReceiveMessage. SQS Error Code: {error.code}. SQS Error Message:"
            f" {error.message}"
        ) from error
    except ServiceError:
        return
    visibility_seconds = queue.facts.visibility_timeout_seconds
    if config.timeout_seconds > visibility_seconds:
        raise invalid_parameter(
            f"Queue visibility timeout: {visibility_seconds} seconds is less than Function timeout:"
            f" {config.timeout_seconds} seconds"
        )


async def _refuse_twin(context: Context, record: TriggerRecord) -> None:
    """Raises ApiError where the same function has the same source already, or another mapping commits under
    the same consumer group.

    Of two that are stored at the same moment, the one with the lower generation stays; `record` has
    generation 0 while it is not stored.
    """
    await context.directory.refresh()
    settings = settings_of(record)
    for other in context.directory.of_kind(KIND):
        if other.id == record.id or 0 < record.generation < other.generation:
            continue
        theirs = settings_of(other)
        same = (other.function_name, other.qualifier) == (record.function_name, record.qualifier)
        if same and theirs.source == settings.source:
            raise conflict(_twin_message(settings, record.function_name, other.id))
        if settings.consumer_group and theirs.consumer_group == settings.consumer_group:
            raise conflict(f"The consumer group {settings.consumer_group} is that of the mapping {other.id}.")


def _twin_message(settings: MappingSettings, function_name: str, twin_id: str) -> str:
    pair = f'arn (" {settings.source} ") and function (" {function_name} ")'
    if settings.service == "sqs":
        told = f"An event source mapping with SQS {pair} already exists."
    else:
        told = f"The event source {pair} provided mapping already exists."
    return f"{told} Please update or delete the existing mappings with UUID {twin_id}"


def _asked_for(context: Context, record: TriggerRecord, request: Request) -> bool:
    if "EventSourceArn" in request and settings_of(record).event_source_arn != request["EventSourceArn"]:
        return False
    if "FunctionName" not in request:
        return True
    name, qualifier = context.names.parse(request["FunctionName"])
    return record.function_name == name and (not qualifier or record.qualifier == qualifier)
