"""One life of a worker, in whose name scripts run: what it holds is fenced by it."""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass

from broker.redis_broker.link import Link
from broker.redis_broker.wire import Argument


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What a consumer needs to know of its broker."""

    namespace: str
    lanes: int
    lease_ms: int = 4_000
    renew_seconds: float = 1.0
    outcome_ttl_seconds: int = 24 * 3600
    most_dead_letters: int = 10_000


class Epoch:
    """The name that a consumer registers under, and scripts that begin with it."""

    def __init__(self, link: Link, options: ConsumerOptions) -> None:
        self.link = link
        self.options = options
        self.name = secrets.token_hex(8)

    def run(self, script: str, *arguments: Argument) -> asyncio.Future[object]:
        """Run a script in this worker's name."""
        return self.link.run(script, self.options.namespace, self.name, *arguments)

    def fill(self) -> tuple[int, int]:
        """What scripts that fill a worker's room take: how many lanes there are, and which is first."""
        return self.options.lanes, random.randrange(self.options.lanes)
