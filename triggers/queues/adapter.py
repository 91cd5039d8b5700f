"""The adapter of kind `queue`."""

from __future__ import annotations

import msgspec

from broker.caller import Trace
from broker.invocation import Reply
from triggers.interface import RunningTrigger
from triggers.queues.serving import serve_queue
from triggers.queues.settings import QueueSettings


class QueueAdapter:
    """Serves triggers of kind `queue`; holds nothing between them."""

    async def run(self, trigger: RunningTrigger) -> None:
        settings = msgspec.json.decode(trigger.record.settings, type=QueueSettings)

        async def invoke(payload: bytes, trace: Trace) -> Reply:
            return await trigger.caller.call(trigger.target, payload, trace=trace)

        await serve_queue(settings, trigger.record.id, trigger.settings, invoke, trigger.report)
