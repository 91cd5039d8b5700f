"""Serves one `object_store` trigger: scans its bucket again and again, or only tidies up after webhooks."""

from __future__ import annotations

import asyncio
import random

import msgspec

from broker.errors import BrokerError
from broker.object_states.interface import ObjectStates
from broker.object_states.redis_states import RedisObjectStates
from triggers.interface import RunningTrigger
from triggers.object_store.listing import Listing, ListingFailed, make_client
from triggers.object_store.scan import Scan
from triggers.object_store.settings import ObjectStoreSettings
from triggers.object_store.sightings import LATE_MS

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0
_TRIM_SECONDS = 300.0


class ObjectStoreAdapter:
    """An `Adapter`; webhooks come to the gateway and share the same memory."""

    async def run(self, trigger: RunningTrigger) -> None:
        settings = msgspec.json.decode(trigger.record.settings, type=ObjectStoreSettings)
        states = RedisObjectStates(trigger.settings.redis_url, trigger.settings.namespace)
        try:
            if settings.scan_seconds:
                await _scan_for_ever(trigger, settings, states)
            else:
                await _tidy_for_ever(trigger, states)
        finally:
            await asyncio.shield(states.close())


async def _scan_for_ever(
    trigger: RunningTrigger, settings: ObjectStoreSettings, states: ObjectStates
) -> None:
    client = await asyncio.to_thread(make_client, settings, trigger.settings)
    scan = Scan(trigger, settings, states, Listing(client, settings.bucket, settings.prefix))
    retry_seconds = _FIRST_RETRY_SECONDS
    while True:
        try:
            sent = await scan.run()
        except (ListingFailed, BrokerError) as error:
            trigger.report(f"PROBLEM: {error}")
            await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))
            retry_seconds = min(_LAST_RETRY_SECONDS, retry_seconds * 2)
            continue
        retry_seconds = _FIRST_RETRY_SECONDS
        trigger.report("OK" if sent else "No records processed")
        await asyncio.sleep(settings.scan_seconds)


async def _tidy_for_ever(trigger: RunningTrigger, states: ObjectStates) -> None:
    trigger.report("OK")
    while True:
        await states.trim(trigger.record.id, await states.now_ms() - LATE_MS)
        await asyncio.sleep(_TRIM_SECONDS)
