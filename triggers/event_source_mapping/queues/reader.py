"""Serves one mapping of a queue: finds the queue, polls it, runs the function, until cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import random

from broker.caller import Trace
from broker.errors import BrokerError, BrokerUnavailable
from broker.invocation import Reply
from broker.registry.routing import route
from triggers.aws_calls.client import Clients
from triggers.aws_calls.errors import ServiceError
from triggers.event_source_mapping.queues.batching import Batching
from triggers.event_source_mapping.queues.concurrency import Concurrency
from triggers.event_source_mapping.queues.holding import Holding
from triggers.event_source_mapping.queues.polling import Polling
from triggers.event_source_mapping.queues.queue import Queue
from triggers.event_source_mapping.queues.runs import Runs
from triggers.event_source_mapping.settings import MappingSettings
from triggers.interface import RunningTrigger

DRAIN_SECONDS = 10.0
"""How long what runs may go on when a mapping is changed, disabled or handed over."""
_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 20.0
_FUNCTION_CHECK_SECONDS = 2.0


async def read_queue(trigger: RunningTrigger, settings: MappingSettings, clients: Clients) -> None:
    """Serve until cancelled."""
    queue = await _find(trigger, settings, clients)
    holding = Holding(queue)
    loop = asyncio.get_running_loop()
    concurrency = Concurrency(settings.maximum_concurrency, loop.time)

    async def call(payload: bytes, trace_header: str) -> Reply:
        return await trigger.caller.call(trigger.target, payload, trace=Trace(trace_header))

    async def function_there() -> None:
        await _function_there(trigger)

    runs = Runs(
        call,
        holding,
        concurrency,
        report_failures=settings.report_batch_item_failures,
        report=trigger.report,
        freed=lambda: polling.freed(),
    )
    batching = Batching(settings, runs.add, loop.call_later)
    polling = Polling(
        settings,
        holding,
        batching,
        runs,
        concurrency,
        function_there=function_there,
        report=trigger.report,
    )
    runs.function_gone = True  # not known to be there yet: nothing is received for a function that is not
    keeping = asyncio.create_task(holding.run())
    try:
        await polling.run()
    finally:
        await holding.give_back_at_once(batching.take())
        await runs.drain(DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await holding.settled()
        keeping.cancel()
        await asyncio.wait({keeping})


async def _find(trigger: RunningTrigger, settings: MappingSettings, clients: Clients) -> Queue:
    """The queue, when its service answers."""
    retry_seconds = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await Queue.find(clients, settings, trigger.settings.account_id)
        except ServiceError as error:
            trigger.report(f"PROBLEM: {error}")
        await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))
        retry_seconds = min(_LAST_RETRY_SECONDS, retry_seconds * 2)


async def _function_there(trigger: RunningTrigger) -> None:
    """Return when the function can be called."""
    while True:
        try:
            record = await trigger.registry.get(trigger.record.function_name)
            config = route(record, trigger.record.qualifier, random.random)
            if config.state == "Active":
                return
            trigger.report(f"PROBLEM: function {record.name} is in the state {config.state}")
        except BrokerUnavailable:
            pass
        except BrokerError as error:
            trigger.report(f"PROBLEM: {error}")
        await asyncio.sleep(_FUNCTION_CHECK_SECONDS)
