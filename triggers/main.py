"""The triggers process: put its parts together, serve triggers until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvloop

from broker.caller import Caller
from broker.cancellation import end
from broker.connections import connected
from broker.errors import BrokerUnavailable
from broker.settings import Settings
from broker.tracing import Tracing
from broker.trigger_store.directory import Directory
from broker.trigger_store.model import TriggerRecord
from triggers.adapters import make_adapters
from triggers.interface import RunningTrigger
from triggers.schedules.scheduler import Scheduler
from triggers.supervisor import Supervisor

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve triggers until SIGTERM or SIGINT; the exit status."""
    try:
        return uvloop.run(_serve(settings))
    except BrokerUnavailable as error:
        log.error("triggers_cannot_start: %s", error)
        return 1


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _parts(settings) as (supervisor, scheduler):
        serving = asyncio.create_task(supervisor.run(), name="supervisor")
        scheduling = asyncio.create_task(scheduler.run(), name="scheduler")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        tasks = (serving, scheduling, stopping)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            await end(task)
    return 0


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[tuple[Supervisor, Scheduler]]:
    """Open everything in order; close it in the other."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(connected(settings))
        broker, registry, store = opened.broker, opened.registry, opened.triggers
        tracing = Tracing.from_environ("triggers")
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        caller = Caller(broker, await broker.inbox(), registry, settings, tracing)
        directory = Directory(store)
        await directory.start()
        stack.push_async_callback(directory.close)

        def make_running(record: TriggerRecord, owner: str, report: Callable[[str], None]) -> RunningTrigger:
            return RunningTrigger(record, owner, caller, registry, store, settings, report)

        owner = secrets.token_hex(8)
        log.info("triggers_ready", extra={"owner": owner, "pid": os.getpid()})
        supervisor = Supervisor(owner, store, directory, make_adapters(), make_running)
        yield supervisor, Scheduler(directory, opened.schedules, store, caller, settings)
