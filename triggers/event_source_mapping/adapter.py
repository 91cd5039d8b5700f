"""Serves event source mappings, each by what reads its kind of source."""

from __future__ import annotations

import msgspec

from broker.destination_senders import DestinationSenders
from triggers.aws_calls.client import Clients
from triggers.event_source_mapping.queues.reader import read_queue
from triggers.event_source_mapping.settings import MappingSettings
from triggers.event_source_mapping.streams.reader import read_stream
from triggers.event_source_mapping.topics import read_topic
from triggers.interface import RunningTrigger

KIND = "event_source_mapping"


class EventSourceMappings:
    """The adapter of all event source mappings of one process."""

    def __init__(self) -> None:
        self._clients: Clients | None = None
        self._senders: DestinationSenders | None = None

    async def run(self, trigger: RunningTrigger) -> None:
        """Raises ValueError for settings that cannot be read, or a source without a reader."""
        settings = msgspec.json.decode(trigger.record.settings, type=MappingSettings)
        if self._clients is None:
            self._clients = Clients(trigger.settings.endpoint_urls)
        match settings.service:
            case "sqs":
                await read_queue(trigger, settings, self._clients)
            case "dynamodb":
                if self._senders is None:
                    self._senders = DestinationSenders(trigger.settings)
                await read_stream(trigger, settings, self._clients, self._senders)
            case "kafka":
                await read_topic(trigger, settings)

    def close(self) -> None:
        """Close what is kept open to the sources. Idempotent."""
        if self._clients is not None:
            self._clients.close()
