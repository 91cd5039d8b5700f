"""One change of a bucket that a store told of: seen before, or an event for the function."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from broker.caller import Target
from broker.object_states.interface import ObjectStates
from broker.trigger_store.model import TriggerRecord
from triggers.events.s3 import ObjectChange, Source, notification
from triggers.object_store.envelopes import StoreEvent
from triggers.object_store.filters import wants_event, wants_key
from triggers.object_store.settings import ObjectStoreSettings
from triggers.object_store.sightings import is_known, outdates, state_of

LOCK_SECONDS = 30.0
_PATIENCE_SECONDS = 2.0  # versitygw waits for three
_LOOK_SECONDS = 0.05

Taken = Literal["sent", "known", "ignored"]


class Sender(Protocol):
    """`broker.caller.Caller`, as far as it is needed here."""

    async def send(self, target: Target, payload: bytes) -> str: ...


class ObjectBusy(Exception):
    """Somebody else has been dealing with this object for a while; the event is to be sent again."""


class Intake:
    """Takes events for all `object_store` triggers of one process."""

    def __init__(self, sender: Sender, states: ObjectStates, region: str) -> None:
        self._sender = sender
        self._states = states
        self._region = region

    async def take(self, trigger: TriggerRecord, settings: ObjectStoreSettings, event: StoreEvent) -> Taken:
        """Leave an event for the function, unless it is not wanted or has been seen.

        At least once: what was left and could not be noted comes again. Raises ObjectBusy and what sending
        raises; then nothing is noted.
        """
        change = event.change
        if event.bucket != settings.bucket or not wants_key(settings.prefix, settings.suffix, change.key):
            return "ignored"
        if not (change.created or change.removed):
            return await self._send_if_wanted(trigger, settings, change)
        await self._lock(trigger.id, change.key)
        try:
            return await self._take(trigger, settings, change)
        finally:
            await asyncio.shield(self._states.unlock(trigger.id, [change.key]))

    async def _take(
        self, trigger: TriggerRecord, settings: ObjectStoreSettings, change: ObjectChange
    ) -> Taken:
        state = await self._states.find(trigger.id, change.key)
        if is_known(change, state):
            return "known"
        taken = await self._send_if_wanted(trigger, settings, change)
        if outdates(change, state):
            await self._states.note(trigger.id, change.key, state_of(change))
        return taken

    async def _send_if_wanted(
        self, trigger: TriggerRecord, settings: ObjectStoreSettings, change: ObjectChange
    ) -> Taken:
        if not wants_event(settings.events, change.event_name):
            return "ignored"
        payload = notification(change, Source(settings.bucket, self._region, trigger.id))
        await self._sender.send(Target(trigger.function_name, trigger.qualifier), payload)
        return "sent"

    async def _lock(self, trigger_id: str, key: str) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while not await self._states.lock(trigger_id, [key], LOCK_SECONDS):
            if asyncio.get_running_loop().time() > deadline:
                raise ObjectBusy(f"object {key[:200]!r} is being dealt with; send the event again")
            await asyncio.sleep(_LOOK_SECONDS)
