"""Between the Lambda API's members of an event source mapping and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.trigger_store.model import TriggerRecord, TriggerStatus
from gateway.lambda_api.errors import invalid_parameter, not_supported
from gateway.lambda_api.qualifiers import FunctionNames
from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.settings import MappingSettings

_DIRECT = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "maximum_batching_window_seconds",
    "StartingPosition": "starting_position",
    "ParallelizationFactor": "parallelization_factor",
    "MaximumRecordAgeInSeconds": "maximum_record_age_seconds",
    "MaximumRetryAttempts": "maximum_retry_attempts",
    "BisectBatchOnFunctionError": "bisect_batch_on_function_error",
    "TumblingWindowInSeconds": "tumbling_window_seconds",
}
_STREAM_MEMBERS = (
    "StartingPosition",
    "ParallelizationFactor",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "TumblingWindowInSeconds",
)
_OTHER_SOURCES = (
    "AmazonManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "Queues",
    "StartingPositionTimestamp",
)
_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_KAFKA_MEMBERS = ("SelfManagedKafkaEventSourceConfig", "SourceAccessConfigurations", "Topics")
_NOT_BUILT = ("KMSKeyArn", "LoggingConfig", "MetricsConfig", "ProvisionedPollerConfig")


def new_settings(request: Mapping[str, Any]) -> MappingSettings:
    """Of a CreateEventSourceMapping request. Raises ApiError."""
    _refuse_unsupported(request)
    arn = request.get("EventSourceArn", "")
    cluster = _cluster(request)
    if not arn and not cluster:
        raise invalid_parameter("Unrecognized event source.")
    if request.get("StartingPosition") == "AT_TIMESTAMP":
        raise invalid_parameter(f"Unsupported starting position for arn type: {arn or 'self-managed Kafka'}")
    try:
        tags = request.get("Tags", {})
        settings = MappingSettings(event_source_arn=arn, tags=tags, **cluster, **_members(request))
    except ValueError as error:
        raise invalid_parameter(str(error)) from error
    return settings


def changed_settings(settings: MappingSettings, request: Mapping[str, Any]) -> MappingSettings:
    """After an UpdateEventSourceMapping request; what it leaves out stays. Raises ApiError."""
    _refuse_unsupported(request)
    if given := [member for member in _KAFKA_MEMBERS if request.get(member)]:
        raise invalid_parameter(f"{', '.join(given)} cannot be changed; make another mapping.")
    try:
        return replace(settings, **_members(request))
    except ValueError as error:
        raise invalid_parameter(str(error)) from error


def describe(
    names: FunctionNames, record: TriggerRecord, settings: MappingSettings, status: TriggerStatus
) -> dict[str, Any]:
    """Members of EventSourceMappingConfiguration; `State` is the one that the mapping settles in."""
    source_members = {"sqs": _queue_members, "dynamodb": _stream_members, "kafka": _topic_members}
    return {
        "UUID": record.id,
        "EventSourceMappingArn": mapping_arn(names, record.id),
        "EventSourceArn": settings.event_source_arn or None,
        "FunctionArn": names.arn(record.function_name, record.qualifier),
        "BatchSize": settings.batch_size,
        "MaximumBatchingWindowInSeconds": settings.maximum_batching_window_seconds,
        "FilterCriteria": _filters(settings) if settings.filters else None,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if settings.report_batch_item_failures else [],
        "LastModified": record.modified_ms / 1000,
        "State": "Enabled" if record.enabled else "Disabled",
        **source_members[settings.service](settings, status.last_result),
        **(_group_members(settings, record.id) if settings.service == "kafka" else {}),
    }


def mapping_arn(names: FunctionNames, mapping_id: str) -> str:
    return names.arn("").removesuffix("function:") + f"event-source-mapping:{mapping_id}"


def _queue_members(settings: MappingSettings, last_result: str) -> dict[str, Any]:
    maximum = settings.maximum_concurrency
    return {
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": last_result or None,
        "ScalingConfig": {"MaximumConcurrency": maximum} if maximum else None,
    }


def _stream_members(settings: MappingSettings, last_result: str) -> dict[str, Any]:
    shown = {member: getattr(settings, _DIRECT[member]) for member in _STREAM_MEMBERS}
    return shown | {
        "StateTransitionReason": "User action",
        "LastProcessingResult": last_result or "No records processed",
        "DestinationConfig": {"OnFailure": {"Destination": settings.on_failure or None}},
    }


def _topic_members(settings: MappingSettings, last_result: str) -> dict[str, Any]:
    return {
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": last_result or "No records processed",
        "StartingPosition": settings.starting_position,
        "Topics": [settings.topic],
        "SelfManagedEventSource": {"Endpoints": {_SERVERS: list(settings.bootstrap_servers)}},
    }


def _group_members(settings: MappingSettings, mapping_id: str) -> dict[str, Any]:
    return {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": settings.consumer_group or mapping_id}}


def _cluster(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of MappingSettings that say where a Kafka topic is; empty for other sources. Raises ApiError."""
    servers = request.get("SelfManagedEventSource", {}).get("Endpoints", {}).get(_SERVERS, [])
    given = [member for member in _KAFKA_MEMBERS if request.get(member)]
    if not servers:
        if given:
            raise invalid_parameter(f"{', '.join(given)}: only for a SelfManagedEventSource with {_SERVERS}.")
        return {}
    if request.get("SourceAccessConfigurations"):
        raise not_supported(
            "SourceAccessConfigurations are not supported, as there is no Secrets Manager: for a cluster with"
            " users or TLS make a queue trigger (lightswitch trigger add queue kafkas://user:password@host:9093)."
        )
    config = request.get("SelfManagedKafkaEventSourceConfig", {})
    if others := sorted(config.keys() - {"ConsumerGroupId"}):
        raise not_supported(f"{', '.join(others)} of SelfManagedKafkaEventSourceConfig: not supported yet.")
    return {
        "bootstrap_servers": tuple(servers),
        "topic": "".join(request.get("Topics", [])),
        "consumer_group": config.get("ConsumerGroupId", ""),
    }


def _filters(settings: MappingSettings) -> dict[str, Any]:
    return {"Filters": [{"Pattern": pattern} for pattern in settings.filters]}


def _members(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of MappingSettings that the request sets. Raises ValueError."""
    fields = {field: request[member] for member, field in _DIRECT.items() if member in request}
    if "FilterCriteria" in request:
        filters = request["FilterCriteria"].get("Filters", [])
        fields["filters"] = tuple(each.get("Pattern", "") for each in filters)
        FilterCriteria.compile(fields["filters"])
    if "FunctionResponseTypes" in request:
        fields["report_batch_item_failures"] = bool(request["FunctionResponseTypes"])
    if "ScalingConfig" in request:
        fields["maximum_concurrency"] = request["ScalingConfig"].get("MaximumConcurrency")
    if "DestinationConfig" in request:
        fields["on_failure"] = _on_failure(request["DestinationConfig"])
    return fields


def _on_failure(destinations: Mapping[str, Any]) -> str:
    if destinations.get("OnSuccess", {}).get("Destination"):
        raise ValueError(
            "Unsupported destination: an event source mapping has only an OnFailure destination."
        )
    destination: str = destinations.get("OnFailure", {}).get("Destination", "")
    return destination


def _refuse_unsupported(request: Mapping[str, Any]) -> None:
    for member in _OTHER_SOURCES:
        if request.get(member):
            raise invalid_parameter(
                f"{member} is not supported: event sources are SQS queues, DynamoDB streams and self-managed"
                " Kafka; Kinesis, MSK, Amazon MQ and DocumentDB are not supported yet."
            )
    for member in _NOT_BUILT:
        value = request.get(member)
        if value and value != {"Metrics": []}:
            raise not_supported(f"{member} of event source mappings is not supported yet.")
