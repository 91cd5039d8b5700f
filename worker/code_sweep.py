"""Forgets code on this machine that no function has any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence, Set
from typing import Protocol

from broker.errors import BrokerError
from broker.registry.interface import Registry

log = logging.getLogger(__name__)

_PAGE = 500


class Cache(Protocol):
    """What lies on this machine by digest: code, or images."""

    async def evict(self, keep: Set[str]) -> None:
        """Remove what nobody wants any more, but nothing in `keep`."""


async def wanted_digests(registry: Registry) -> set[str]:
    """Names of the code and merged layers of every version of every function. Raises BrokerUnavailable."""
    digests: set[str] = set()
    after = ""
    while records := await registry.records(after, _PAGE):
        for record in records:
            for version in (record.latest, *record.versions.values()):
                digests.update({version.code_digest, version.layers_digest} - {""})
        after = records[-1].name
    return digests


async def sweep_code(caches: Sequence[Cache], registry: Registry, every_seconds: float = 1200) -> None:
    """Evict now and then until cancelled; several workers on a machine may do so at once.

    `every_seconds` must stay well below the hour after which unwanted code is removed.
    """
    while True:
        try:
            wanted = await wanted_digests(registry)
            for cache in caches:
                await cache.evict(wanted)
        except (BrokerError, OSError) as error:
            log.warning("code_sweep_failed", extra={"reason": str(error)})
        await asyncio.sleep(every_seconds)
