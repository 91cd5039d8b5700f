"""A reply that somebody waits for: how it arrives, and what becomes of a call that is given up.

Part of every call that is no event: a caller's future takes the reply, or the broker's refusal.
"""

from __future__ import annotations

import asyncio
import contextlib

from broker.errors import BrokerError, BrokerUnavailable
from broker.interface import Broker
from broker.invocation import Invocation, Reply

QUEUE_PATIENCE_SECONDS = 60.0
"""How long a caller waits beyond the function's own time: for a slot and for its environment's start."""


def finish(waiting: asyncio.Future[Reply], reply: Reply) -> None:
    """The reply is there; nobody hears it who has given up."""
    if not waiting.done():
        waiting.set_result(reply)


def refuse(waiting: asyncio.Future[Reply], error: BrokerError) -> None:
    """The broker did not take the call."""
    if not waiting.done():
        waiting.set_exception(error)


async def withdraw(broker: Broker, invocation: Invocation) -> None:
    """Free what a caller held that no longer waits; a run that has begun goes on, as on Lambda."""
    with contextlib.suppress(BrokerUnavailable):
        await asyncio.shield(broker.withdraw(invocation))
