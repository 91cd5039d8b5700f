"""All hooks of one gateway process, with what only they need."""

from __future__ import annotations

from fastapi import APIRouter

from broker.caller import Caller
from broker.claims import RedisClaims
from broker.object_states.redis_states import RedisObjectStates
from broker.settings import Settings
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from gateway.hooks.finding import Triggers
from gateway.hooks.object_store import ObjectStoreHook
from gateway.hooks.topic import TopicHook
from triggers.object_store.intake import Intake
from triggers.topics import https
from triggers.topics.certificates import Certificates
from triggers.topics.subscription import Subscription


class Hooks:
    """Connects to Redis when the first event comes; `close` when no more will."""

    def __init__(self, settings: Settings, store: TriggerStore, directory: Directory, caller: Caller) -> None:
        self._claims = RedisClaims(settings.redis_url, settings.namespace)
        self._states = RedisObjectStates(settings.redis_url, settings.namespace)
        self._certificates = Certificates(https.get)
        triggers = Triggers(store, directory)
        intake = Intake(caller, self._states, settings.region)
        subscription = Subscription(caller, self._claims, self._certificates, https.get)
        self._object_store = ObjectStoreHook(triggers, intake)
        self._topic = TopicHook(triggers, subscription)

    def router(self) -> APIRouter:
        """The routes, for an application to include."""
        routes = APIRouter()
        routes.include_router(self._object_store.router())
        routes.include_router(self._topic.router())
        return routes

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._certificates.close()
        await self._claims.close()
        await self._states.close()
