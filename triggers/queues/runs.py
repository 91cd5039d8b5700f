"""One batch of messages run by the function, and what became of each.

What is not the messages' fault (no slot, no function yet, the broker away) is tried again with back-off and
charged to nobody. What can never run (too large, or the next turn of a recursive loop) is told apart, and the
others run without it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from broker.caller import Trace
from broker.errors import BrokerError, RecursiveLoop
from broker.invocation import Reply
from broker.lineage import is_recursive
from triggers.queues.message import QueueMessage
from triggers.queues.partial_results import failed_items
from triggers.queues.settings import QueueSettings
from triggers.queues.traces import trace_header, trace_of

MOST_PAYLOAD_BYTES = 6 * 1024 * 1024
LAST_DELAY_SECONDS = 60.0

Invoke = Callable[[bytes, Trace], Awaitable[Reply]]
MakeEvent = Callable[[Sequence[QueueMessage]], object]
Admits = Callable[[QueueMessage], bool]


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a batch: the messages that failed or are never to run, and why. All others succeeded."""

    failed: Mapping[QueueMessage, str] = field(default_factory=dict)
    hopeless: Mapping[QueueMessage, str] = field(default_factory=dict)

    def beside(self, other: Ended) -> Ended:
        """Both parts of a batch."""
        return Ended({**self.failed, **other.failed}, {**self.hopeless, **other.hopeless})


class BatchRuns:
    """Runs batches. `in_order`: where a batch has to be parted, nothing runs after a part that failed, and
    the outcome says nothing of what was not run: it follows the first failed message of the batch. What
    `admits` refuses is done without a run."""

    def __init__(
        self,
        settings: QueueSettings,
        make_event: MakeEvent,
        invoke: Invoke,
        report: Callable[[str], None],
        *,
        in_order: bool = False,
        admits: Admits | None = None,
    ) -> None:
        self._settings = settings
        self._make_event = make_event
        self._invoke = invoke
        self._report = report
        self._in_order = in_order
        self._admits = admits

    async def run(self, batch: Sequence[QueueMessage]) -> Ended:
        """Once the function has answered; raises nothing but for a defect of ours."""
        admitted = batch if self._admits is None else [each for each in batch if self._admits(each)]
        return await self._run(admitted) if admitted else Ended()

    async def _run(self, batch: Sequence[QueueMessage]) -> Ended:
        payload = msgspec.json.encode(self._make_event(batch))
        if len(payload) > MOST_PAYLOAD_BYTES:
            return await self._run_halves(batch, len(payload))
        try:
            reply = await self._reply(payload, trace_of(batch))
        except RecursiveLoop as loop:
            return await self._run_others(batch, loop)
        if reply.failure:
            reason = f"the function failed: {reply.payload[:500].decode(errors='replace')}"
            self._report(f"PROBLEM: {reason}")
            return Ended(dict.fromkeys(batch, reason))
        failed = self._reported_failures(batch, reply.payload)
        self._report(f"PROBLEM: {len(failed)} of {len(batch)} messages failed" if failed else "OK")
        return Ended(dict.fromkeys(failed, "the function reported the message as failed"))

    async def _run_halves(self, batch: Sequence[QueueMessage], payload_bytes: int) -> Ended:
        if len(batch) == 1:
            reason = f"an event of {payload_bytes} bytes is above the most, {MOST_PAYLOAD_BYTES} bytes"
            return Ended(hopeless={batch[0]: reason})
        middle = len(batch) // 2
        first = await self._run(batch[:middle])
        if first.failed and self._in_order:
            return first
        return first.beside(await self._run(batch[middle:]))

    async def _run_others(self, batch: Sequence[QueueMessage], loop: RecursiveLoop) -> Ended:
        """Without those by which the function would call itself too often."""
        looping = [message for message in batch if is_recursive(trace_header(message), loop.function_name)]
        others = [message for message in batch if message not in looping]
        stopped = Ended(hopeless=dict.fromkeys(looping, str(loop)))
        return stopped.beside(await self._run(others)) if others else stopped

    async def _reply(self, payload: bytes, trace: Trace) -> Reply:
        """What the function answers. Raises RecursiveLoop."""
        delay_seconds = self._settings.retry_delay_seconds
        while True:
            try:
                return await self._invoke(payload, trace)
            except RecursiveLoop:
                raise
            except BrokerError as error:
                self._report(f"PROBLEM: {error}")
            await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
            delay_seconds = min(LAST_DELAY_SECONDS, delay_seconds * 2)

    def _reported_failures(self, batch: Sequence[QueueMessage], result: bytes) -> Sequence[QueueMessage]:
        if not self._settings.report_batch_item_failures:
            return []
        known = {message.item_identifier: message for message in batch}
        identifiers = failed_items(result, known.keys())
        return batch if identifiers is None else [known[identifier] for identifier in identifiers]
