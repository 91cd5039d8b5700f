"""Mappings of self-managed Kafka topics: a queue trigger's reader, with the rules of Lambda's event source.

A batch is run until it succeeds ("Lambda retries until the records expire"): nothing is set aside, and the
partition waits. What can never run is written to the log and passed over, as there is no destination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.caller import Trace
from broker.foreign_json import UNREADABLE
from broker.invocation import Reply
from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.settings import MappingSettings
from triggers.events.kafka import kafka_event
from triggers.interface import RunningTrigger
from triggers.queues.message import QueueMessage
from triggers.queues.serving import serve_topic
from triggers.queues.settings import QueueSettings

_DEFAULT_WINDOW_SECONDS = 0.5
"""Lambda's guide: Kafka's batching window where none is set."""
_MOST_PARTITIONS_AT_ONCE = 1000


async def read_topic(trigger: RunningTrigger, settings: MappingSettings) -> None:
    """Serve one mapping until cancelled."""

    async def invoke(payload: bytes, trace: Trace) -> Reply:
        return await trigger.caller.call(trigger.target, payload, trace=trace)

    criteria = FilterCriteria.compile(settings.filters)
    await serve_topic(
        topic_settings(settings),
        settings.consumer_group or trigger.record.id,
        invoke,
        trigger.report,
        admits=(lambda message: criteria.admits(filtered_view(message))) if settings.filters else None,
        set_aside=False,
    )


def topic_settings(settings: MappingSettings) -> QueueSettings:
    """The same in a queue trigger's terms."""
    return QueueSettings(
        url=settings.cluster_url,
        queue=settings.topic,
        batch_size=settings.batch_size,
        batching_window_seconds=settings.maximum_batching_window_seconds or _DEFAULT_WINDOW_SECONDS,
        starting_position=settings.starting_position or "TRIM_HORIZON",
        report_batch_item_failures=settings.report_batch_item_failures,
        max_concurrency=_MOST_PARTITIONS_AT_ONCE,
    )


def filtered_view(message: QueueMessage) -> Mapping[str, Any]:
    """What a filter sees: the event's record, its key and value decoded, as JSON where they are."""
    (records,) = kafka_event([message.token], "")["records"].values()
    record: dict[str, Any] = records[0]
    return {**record, "key": _read(message.token.key), "value": _read(message.token.value)}


def _read(content: bytes | None) -> object:
    if content is None or not content.lstrip().startswith((b"{", b"[")):
        return None if content is None else content.decode(errors="replace")
    try:
        return msgspec.json.decode(content)
    except UNREADABLE:
        return content.decode(errors="replace")
