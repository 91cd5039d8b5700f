"""Telling destinations and dead letter queues how an asynchronous invocation ended.

The function has run and does not run again: the message says so since it was amended with its `sequel`.
While a destination is away the message waits and is tried again; what nobody takes becomes a dead letter of
ours.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

from msgspec.structs import replace

from broker.destination_requests import service_of
from broker.destination_senders import Senders
from broker.destinations import follow_up, function_of, notice, record_of
from broker.errors import BrokerUnavailable, DestinationRefused, DestinationUnavailable, FunctionNotFound
from broker.interface import Delivery
from broker.invocation import Invocation, Outcome, Sequel, Tell, now_ms
from broker.registry.interface import Registry

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 6 * 3600
"""How long a destination may be away."""
_FIRST_PAUSE_SECONDS = 1.0
_LAST_PAUSE_SECONDS = 300.0


class Telling:
    """Works off sequels; each delivery ends acknowledged, released or dead-lettered."""

    def __init__(self, registry: Registry, senders: Senders) -> None:
        self._registry = registry
        self._senders = senders

    async def begin(self, delivery: Delivery, sequel: Sequel) -> bool:
        """The function has run: keep that for good, then tell. False if the delivery was fenced."""
        queues = [tell for tell in sequel.tells if service_of(tell.arn) is not None]
        if not queues:
            return await self._tell(delivery, sequel)
        if not await delivery.amend(replace(delivery.invocation, sequel=sequel)):
            return False
        return await self._tell(delivery, sequel)

    async def resume(self, delivery: Delivery) -> bool:
        """Go on telling, for a delivery whose invocation has a sequel."""
        sequel = delivery.invocation.sequel
        assert sequel is not None
        return await self._tell(delivery, sequel)

    async def _tell(self, delivery: Delivery, sequel: Sequel) -> bool:
        attempt = _Attempt(sequel)
        for tell in sequel.tells:
            await self._tell_one(delivery.invocation, sequel, tell, attempt)
        if attempt.waiting and _age_seconds(sequel) < PATIENCE_SECONDS:
            return await self._try_later(delivery, attempt.rest(sequel))
        return await _end(delivery, sequel, attempt)

    async def _tell_one(self, cause: Invocation, sequel: Sequel, tell: Tell, attempt: _Attempt) -> None:
        try:
            if service_of(tell.arn) is None:
                attempt.follow_ups.append(await self._invoke(cause, sequel, tell))
            else:
                await self._senders.send(tell.arn, notice(cause, sequel, tell))
                attempt.told.append(tell.arn)
        except DestinationUnavailable as error:
            attempt.waiting.append(tell)
            attempt.problems.append(f"{tell.arn}: {error}")
        except DestinationRefused as error:
            attempt.problems.append(f"{tell.arn}: {error}")
        if attempt.problems:
            about = {"request_id": cause.request_id, "destination": tell.arn, "reason": attempt.problems[-1]}
            log.warning("destination_not_told", extra=about)

    async def _invoke(self, cause: Invocation, sequel: Sequel, tell: Tell) -> Invocation:
        """The invocation of a destination that is a function."""
        try:
            target = await self._registry.get(function_of(tell.arn))
        except FunctionNotFound as error:
            raise DestinationRefused(str(error)) from error
        except BrokerUnavailable as error:
            raise DestinationUnavailable(str(error)) from error
        return follow_up(cause, target, tell.arn, record_of(cause, sequel))

    async def _try_later(self, delivery: Delivery, rest: Sequel) -> bool:
        """Release the message; what is told already is not told again."""
        if not await delivery.amend(replace(delivery.invocation, sequel=rest)):
            return False
        pause = min(_LAST_PAUSE_SECONDS, max(_FIRST_PAUSE_SECONDS, _age_seconds(rest)))
        return await delivery.release(pause * random.uniform(0.75, 1.0), charge=False)


class _Attempt:
    """What came of one round of telling."""

    def __init__(self, sequel: Sequel) -> None:
        self.told: list[str] = list(sequel.told)
        self.follow_ups: list[Invocation] = []
        self.waiting: list[Tell] = []
        self.problems: list[str] = []

    def rest(self, sequel: Sequel) -> Sequel:
        """What the next round has to do: functions are invoked in the end, with the acknowledgement."""
        functions = [tell for tell in sequel.tells if service_of(tell.arn) is None]
        return replace(sequel, tells=(*self.waiting, *functions), told=tuple(self.told))

    def heard(self) -> Sequence[str]:
        """ARNs of all who know."""
        return [*self.told, *(invocation.invoked_arn for invocation in self.follow_ups)]


async def _end(delivery: Delivery, sequel: Sequel, attempt: _Attempt) -> bool:
    """Acknowledged where somebody heard of it; else set aside, with the reason."""
    error, heard = "; ".join(attempt.problems), attempt.heard()
    outcome: Outcome = replace(sequel.outcome, destination_error=error, dead_letter=", ".join(heard))
    if heard:
        return await delivery.ack(outcome, then=attempt.follow_ups)
    return await delivery.dead_letter(outcome)


def _age_seconds(sequel: Sequel) -> float:
    return (now_ms() - sequel.outcome.finished_ms) / 1000
