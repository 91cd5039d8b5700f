"""What every serving process opens first: the broker, the registry, the functions' logs, the triggers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.function_logs import RedisFunctionLogs
from broker.layer_store.redis_store import RedisLayerStore
from broker.provisioning.redis_store import RedisProvisioningStore
from broker.redis_broker.broker import RedisBroker
from broker.registry.redis_registry import RedisRegistry
from broker.schedule_store.redis_store import RedisScheduleStore
from broker.settings import Settings
from broker.trigger_store.redis_store import RedisTriggerStore


@dataclass(frozen=True, slots=True)
class Connections:
    """All on the Redis that the settings name."""

    broker: RedisBroker
    registry: RedisRegistry
    logs: RedisFunctionLogs
    triggers: RedisTriggerStore
    schedules: RedisScheduleStore
    layers: RedisLayerStore
    provisioning: RedisProvisioningStore


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connections]:
    """Open them in order; close them in the other. Raises BrokerUnavailable."""
    async with contextlib.AsyncExitStack() as stack:
        broker = RedisBroker(settings.redis_url, settings.namespace, settings.lanes)
        await broker.start()
        stack.push_async_callback(broker.close)
        registry = RedisRegistry(settings.redis_url, settings.namespace)
        await registry.start()
        stack.push_async_callback(registry.close)
        logs = RedisFunctionLogs(settings.redis_url, settings.namespace)
        await logs.start()
        stack.push_async_callback(logs.close)
        triggers = RedisTriggerStore(settings.redis_url, settings.namespace)
        await triggers.start()
        stack.push_async_callback(triggers.close)
        schedules = RedisScheduleStore(settings.redis_url, settings.namespace)
        stack.push_async_callback(schedules.close)
        layers = RedisLayerStore(settings.redis_url, settings.namespace)
        stack.push_async_callback(layers.close)
        provisioning = RedisProvisioningStore(settings.redis_url, settings.namespace)
        stack.push_async_callback(provisioning.close)
        yield Connections(broker, registry, logs, triggers, schedules, layers, provisioning)
