"""Which adapter serves which kind of trigger."""

from __future__ import annotations

from collections.abc import Mapping

from triggers.event_source_mapping.adapter import KIND as EVENT_SOURCE_MAPPING
from triggers.event_source_mapping.adapter import EventSourceMappings
from triggers.interface import Adapter
from triggers.object_store.adapter import ObjectStoreAdapter
from triggers.queues.adapter import QueueAdapter


def make_adapters() -> Mapping[str, Adapter]:
    """One adapter for each kind that is served by this process; kinds that are missing are left alone."""
    return {
        "object_store": ObjectStoreAdapter(),
        EVENT_SOURCE_MAPPING: EventSourceMappings(),
        "queue": QueueAdapter(),
    }
