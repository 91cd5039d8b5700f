"""Deletes what no function and no layer refers to any more, or is damaged, from the fleet's code store.

In two steps, so that nobody who stores code and is about to refer to it can lose it, however many gateways
sweep: what is unreferenced is thrown away, but can still be read; after a grace it is deleted if it is
unreferenced still, and taken back if it is not. Storing it once more makes a new object, which no earlier
decision is about.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence, Set
from typing import Protocol

from broker.code_store import LAYER, StoredObject, object_name
from broker.errors import BrokerError
from broker.layer_store.interface import LayerStore
from broker.registry.interface import Registry
from broker.registry.model import FunctionConfig

log = logging.getLogger(__name__)

GRACE_SECONDS = 3600.0
"""Far beyond what passes between storing code and writing the function that refers to it."""
EVERY_SECONDS = 1200.0
_PAGE = 500


class Store(Protocol):
    """The part of `broker.code_store` that is needed here, and documented there."""

    async def objects(self) -> Sequence[StoredObject]: ...

    async def waste(self) -> Sequence[StoredObject]: ...

    async def damaged(self) -> Sequence[StoredObject]: ...

    async def throw_away(self, name: str) -> None: ...

    async def take_back(self, thrown: StoredObject) -> None: ...

    async def remove(self, thrown: StoredObject) -> None: ...

    async def owners(self, installation: str) -> Set[str]: ...


class CodeGarbage:
    """Sweeps one store for the installation whose functions and layers are given."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        layers: LayerStore,
        *,
        grace_seconds: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._registry = registry
        self._layers = layers
        self._grace_seconds = grace_seconds
        self._clock = clock

    async def run(self, every_seconds: float = EVERY_SECONDS) -> None:
        """Sweep now and then until cancelled; several processes may do so at once."""
        while True:
            try:
                await self.sweep()
            except BrokerError as error:
                log.warning("code_garbage_not_swept", extra={"reason": str(error)})
            await asyncio.sleep(every_seconds)

    async def sweep(self) -> None:
        """Throw away, take back and delete, each where it is time. Raises BrokerError."""
        owners = await self._store.owners(await self._registry.installation())
        if len(owners) > 1:
            # Other installations' functions are not known here.
            log.warning(
                "code_store_is_shared: nothing is deleted; remove owners/ID of an installation that is gone",
                extra={"installations": ", ".join(sorted(owners))},
            )
            return
        objects = await self._store.objects()
        thrown_away = await self._store.waste()
        wanted = await wanted_objects(self._registry, self._layers)
        for thrown in thrown_away:
            if thrown.name in wanted:
                await self._store.take_back(thrown)
            elif self._is_old(thrown):
                await self._store.remove(thrown)
        for each in objects:
            if each.name not in wanted and self._is_old(each):
                await self._store.throw_away(each.name)
        for each in await self._store.damaged():
            if self._is_old(each):
                await self._store.remove(each)

    def _is_old(self, each: StoredObject) -> bool:
        return self._clock() - each.since >= self._grace_seconds


async def wanted_objects(registry: Registry, layers: LayerStore) -> Set[str]:
    """Names of the objects that any version of any function or layer refers to. Raises BrokerUnavailable."""
    wanted: set[str] = set()
    for name in [newest.name for newest in await layers.latest()]:
        wanted.update(object_name(layer.code_digest) for layer in await layers.versions(name))
    after = ""
    while records := await registry.records(after, _PAGE):
        for record in records:
            for config in (record.latest, *record.versions.values()):
                wanted.update(_objects_of(config))
        after = records[-1].name
    return wanted


def _objects_of(config: FunctionConfig) -> Set[str]:
    """A function keeps the layers that it was given, also when they are deleted as layers."""
    given = {object_name(layer.code_digest) for layer in config.layers}
    if config.image is not None:
        return given | {object_name(digest, LAYER) for digest in config.image.layers}
    return given | {object_name(config.code_digest)}
