"""Serves event source mappings, each by what reads its kind of source."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from triggers.aws_calls.client import Clients
from triggers.event_source_mapping.queues.reader import read_queue
from triggers.event_source_mapping.settings import MappingSettings
from triggers.interface import RunningTrigger

KIND = "event_source_mapping"

Reader = Callable[[RunningTrigger, MappingSettings, Clients], Awaitable[None]]
"""Serves a mapping of one kind of source until it is cancelled, as `Adapter.run`."""

READERS: Mapping[str, Reader] = {"sqs": read_queue}
"""By the service in the source's ARN."""


class EventSourceMappings:
    """The adapter of all event source mappings of one process."""

    def __init__(self) -> None:
        self._clients: Clients | None = None

    async def run(self, trigger: RunningTrigger) -> None:
        """Raises ValueError for settings that cannot be read, or a source without a reader."""
        settings = msgspec.json.decode(trigger.record.settings, type=MappingSettings)
        if settings.service not in READERS:
            raise ValueError(f"event sources of the type {settings.service} cannot be read yet")
        if self._clients is None:
            self._clients = Clients(trigger.settings.endpoint_urls)
        await READERS[settings.service](trigger, settings, self._clients)
