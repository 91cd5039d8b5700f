"""Hears of changes that any process makes to the registry, and tells the cache when it cannot."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.registry.cache import RecordCache

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 2.0
_QUIET_SECONDS = 5.0
"""After this long without a word the connection is asked whether it lives."""


class Announcements:
    """Follows `channel` for as long as it runs; the cache is deaf while there is no subscription. `on_change`
    gets the name of each function that changed.

    An announcement is `GENERATION NAME`. redis-py would subscribe again in silence after a loss, and what
    was announced meanwhile would be missed: so every loss ends the subscription here.
    """

    def __init__(
        self, client: Redis, channel: str, cache: RecordCache, on_change: Callable[[str], None]
    ) -> None:
        self._client = client
        self._channel = channel
        self._cache = cache
        self._on_change = on_change
        self._heard = asyncio.Event()

    async def subscribed(self) -> None:
        """Return when the first subscription stands."""
        await self._heard.wait()

    async def run(self) -> None:
        """Listen until cancelled."""
        delay_seconds = _FIRST_RETRY_SECONDS
        while True:
            try:
                await self._follow()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("registry_subscription_lost", extra={"reason": str(error)})
            finally:
                was_subscribed = self._heard.is_set()
                self._heard.clear()
                self._cache.deaf()
            delay_seconds = _FIRST_RETRY_SECONDS if was_subscribed else delay_seconds * 2
            await asyncio.sleep(min(delay_seconds, _LAST_RETRY_SECONDS) * random.uniform(0.5, 1.0))

    async def _follow(self) -> None:
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=_QUIET_SECONDS)
                if message is not None:
                    asked = False
                    self._handle(message["type"], message["data"])
                elif asked:
                    raise TimeoutError(f"no answer for {_QUIET_SECONDS:g} s")
                else:
                    asked = True
                    await pubsub.ping()

    def _handle(self, kind: str, data: bytes) -> None:
        if kind == "subscribe":
            self._cache.listening()
            self._heard.set()
        elif kind == "message":
            generation, _, name = data.partition(b" ")
            self._cache.announced(name.decode(), int(generation))
            self._on_change(name.decode())
