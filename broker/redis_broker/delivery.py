"""A message in a worker's hands."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from broker.invocation import Invocation, Outcome
from broker.redis_broker.arrivals import Arrivals
from broker.redis_broker.envelope import Received, publish_arguments
from broker.redis_broker.settling import Settling, encode_outcome


class RedisDelivery:
    """Implements `broker.interface.Delivery`."""

    __slots__ = ("_arrivals", "_offered", "_settling", "attempt", "deliveries", "invocation", "losses")

    def __init__(self, settling: Settling, arrivals: Arrivals, received: Received, offered: str) -> None:
        self._settling = settling
        self._arrivals = arrivals
        self._offered = offered
        self.invocation = received.invocation
        self.attempt = received.attempt
        self.deliveries = received.deliveries
        self.losses = received.losses

    def placed(self) -> None:
        if self._offered:
            self._arrivals.placed(self._offered)
            self._offered = ""

    async def ack(self, outcome: Outcome | None = None, then: Sequence[Invocation] = ()) -> bool:
        self.placed()
        if not then:
            return await self._settling.acknowledge(self.invocation, outcome)
        options = self._settling.options
        stored = b"" if outcome is None else encode_outcome(outcome)
        follow = [part for one in then for part in publish_arguments(one, options.lanes)]
        return await self._settling.settle(
            "chain", self.invocation, stored, options.outcome_ttl_seconds, *follow
        )

    def ack_lazily(self, outcome: Outcome | None = None) -> None:
        self.placed()
        self._settling.acknowledge_soon(self.invocation, outcome)

    async def amend(self, invocation: Invocation) -> bool:
        current, self.invocation = self.invocation, invocation
        return await self._settling.amend(current, invocation)

    async def release(self, delay_seconds: float, *, charge: bool) -> bool:
        self.placed()
        return await self._settling.settle(
            "release", self.invocation, round(delay_seconds * 1000), int(charge)
        )

    async def dead_letter(self, outcome: Outcome) -> bool:
        self.placed()
        options = self._settling.options
        place = f"dead-letter/{self.invocation.request_id}"
        stored = encode_outcome(msgspec.structs.replace(outcome, dead_letter=place))
        return await self._settling.settle(
            "dead_letter", self.invocation, stored, options.outcome_ttl_seconds, options.most_dead_letters
        )
