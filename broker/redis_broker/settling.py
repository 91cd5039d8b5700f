"""How a worker ends with its messages: each script is fenced, so that doing it twice is doing it once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import msgspec

from broker.errors import BrokerUnavailable
from broker.invocation import Invocation, Outcome
from broker.redis_broker.batch import Batch, Group
from broker.redis_broker.envelope import gate_of, lane_class, publish_arguments
from broker.redis_broker.epoch import ConsumerOptions, Epoch
from broker.redis_broker.wire import Argument, CommandFailed

log = logging.getLogger(__name__)

encode_outcome = msgspec.msgpack.Encoder().encode

_PATIENCE_SECONDS = 60.0
_LAZY_SECONDS = 0.004
"""Shorter, and a lone caller's next call competes with the acknowledgement of his last one."""
_PAUSE_SECONDS = 1.0
_LAST_SECONDS = 5.0
"""How long a consumer that closes tries to acknowledge; what is left then runs once more elsewhere."""


class Settling:
    """Settles the messages of one epoch. `forget` hears of each that is settled or given up; a consumer that
    `is_full` gets nothing until something is acknowledged."""

    def __init__(self, epoch: Epoch, forget: Callable[[str], None], is_full: Callable[[], bool]) -> None:
        self._epoch = epoch
        self._forget = forget
        self._is_full = is_full
        self._acknowledging = Batch(self._run_ack, epoch.link.flush)
        self._unacknowledged = 0
        self._all_acknowledged: asyncio.Future[None] | None = None
        self._retrying: set[asyncio.Task[None]] = set()

    @property
    def options(self) -> ConsumerOptions:
        """Those of the consumer."""
        return self._epoch.options

    async def settle(self, script: str, invocation: Invocation, *arguments: Argument) -> bool:
        """Run a settling script until Redis has done it: each is fenced, so twice is once."""
        named = invocation.request_id, gate_of(invocation), lane_class(invocation.kind)
        attempt = partial(self._epoch.run, script, *named, *self._epoch.fill(), *arguments)
        try:
            return await self._insist(invocation, attempt)
        finally:
            self._forget(invocation.request_id)

    async def amend(self, current: Invocation, amended: Invocation) -> bool:
        """Replace a message that stays in our hands."""
        _, value, *_ = publish_arguments(amended, self._epoch.options.lanes)
        attempt = partial(self._epoch.run, "amend", current.request_id, gate_of(current), value)
        try:
            return await self._insist(current, attempt)
        except BrokerUnavailable:
            self._forget(current.request_id)
            raise

    async def acknowledge(self, invocation: Invocation, outcome: Outcome | None) -> bool:
        """Settle together with what else is acknowledged in this tick."""
        group = _ack_group(invocation, outcome)
        try:
            return await self._insist(invocation, partial(self._acknowledging.add, group))
        finally:
            self._forget(invocation.request_id)

    async def _insist(self, invocation: Invocation, attempt: Callable[[], asyncio.Future[object]]) -> bool:
        """Try until it is done. Raises BrokerUnavailable after a long outage; then, as callers know the
        message no longer, a renewal finds it held and it is delivered here once more."""
        while True:
            try:
                return await attempt() == 1
            except CommandFailed as error:
                log.error(
                    "not_settled_yet", extra={"request_id": invocation.request_id, "reason": str(error)}
                )
                await asyncio.sleep(_PAUSE_SECONDS)
            except BrokerUnavailable:
                await self._epoch.link.connected(_PATIENCE_SECONDS)

    def acknowledge_soon(self, invocation: Invocation, outcome: Outcome | None) -> None:
        """Settle together with what else ends within four milliseconds: one script, one write to the disk."""
        # A full consumer gets nothing until it acknowledges.
        within_seconds = 0.0 if self._is_full() else _LAZY_SECONDS
        self._unacknowledged += 1

        def answered(answer: object) -> None:
            if isinstance(answer, BaseException):
                self._retry(invocation, outcome)
            else:
                self._forget(invocation.request_id)
                self._acknowledged()

        self._acknowledging.send(_ack_group(invocation, outcome), answered, within_seconds)

    def _retry(self, invocation: Invocation, outcome: Outcome | None) -> None:
        """The connection was lost, or Redis refused: again until it is done."""

        async def again() -> None:
            try:
                await self.acknowledge(invocation, outcome)
            except BrokerUnavailable as error:
                log.error("not_settled", extra={"request_id": invocation.request_id, "reason": str(error)})
            finally:
                self._retrying.discard(task)
                self._acknowledged()

        task = asyncio.get_running_loop().create_task(again(), name=f"ack-{invocation.request_id}")
        self._retrying.add(task)

    def _acknowledged(self) -> None:
        self._unacknowledged -= 1
        if not self._unacknowledged and self._all_acknowledged is not None:
            self._all_acknowledged.set_result(None)
            self._all_acknowledged = None

    async def finish(self) -> None:
        """Wait a while for what is acknowledged lazily, and give up the rest."""
        if self._unacknowledged:
            self._all_acknowledged = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_acknowledged], timeout=_LAST_SECONDS)
        for task in self._retrying:
            task.cancel()

    def _run_ack(self, arguments: list[Argument]) -> asyncio.Future[object]:
        return self._epoch.run(
            "ack", *self._epoch.fill(), self._epoch.options.outcome_ttl_seconds, *arguments
        )


def _ack_group(invocation: Invocation, outcome: Outcome | None) -> Group:
    stored = b"" if outcome is None else encode_outcome(outcome)
    shared = gate_of(invocation), lane_class(invocation.kind)
    return Group(shared, (invocation.request_id, stored))
