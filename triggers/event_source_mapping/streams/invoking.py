"""Sends batches to the function and says how each ended: done, failed, or not run at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from broker.errors import BrokerError
from broker.invocation import Reply
from triggers.event_source_mapping.streams.failure_record import Ran
from triggers.event_source_mapping.streams.responses import BadResponse, first_failure, window_state
from triggers.events.dynamodb import WindowContext, event

Invoke = Callable[[bytes], Awaitable[Reply]]
"""Calls the mapping's function with a payload. Raises BrokerError where it could not be run."""


@dataclass(frozen=True, slots=True)
class Done:
    """All records are done; `state` is the window's, where there is one."""

    state: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The function failed from the record at `index` on. `reason` is for the mapping's last result.

    `state` is what it made of the records before, in a window.
    """

    index: int
    ran: Ran
    reason: str
    state: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class NotRun:
    """The platform could not run it now: throttled, being created, the broker away."""

    reason: str


@dataclass(frozen=True, slots=True)
class Invoker:
    """Runs a mapping's function on batches."""

    invoke: Invoke
    report_batch_item_failures: bool

    async def run(
        self,
        bodies: Sequence[msgspec.Raw],
        sequence_numbers: Sequence[str],
        context: WindowContext | None = None,
    ) -> Done | Failed | NotRun:
        """One run; never retries."""
        try:
            reply = await self.invoke(event(bodies, context))
        except BrokerError as error:
            return NotRun(str(error) or type(error).__name__)
        if reply.failure:
            return Failed(0, _ran(reply, reply.failure), "Function call failed")
        try:
            index = (
                first_failure(reply.payload, sequence_numbers) if self.report_batch_item_failures else None
            )
            state = None if context is None else window_state(reply.payload)
        except BadResponse as error:
            return Failed(0, _ran(reply), f"Function call failed: {error}")
        if index is not None:
            return Failed(index, _ran(reply), "Function reported failed records", state if index else None)
        return Done(state)


def _ran(reply: Reply, function_error: str = "") -> Ran:
    return Ran(reply.request_id, reply.executed_version, function_error)
