"""The worker process: put its parts together, run until told to stop, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import uvloop

from broker.cancellation import end
from broker.code_store import CodeStore
from broker.connections import connected
from broker.destination_senders import DestinationSenders
from broker.errors import BrokerError, BrokerUnavailable, LeaseLost
from broker.garbage import settle_in
from broker.interface import Consumer
from broker.settings import Settings
from broker.tracing import Tracing
from worker.code_cache import CodeCache
from worker.code_sweep import sweep_code
from worker.environments.interface import EnvironmentSpec
from worker.environments.keep_alive import AdaptiveKeepAlive, FixedKeepAlive, KeepAlive
from worker.environments.pool import Pool
from worker.environments.process_factory import ProcessEnvironmentFactory
from worker.environments.room import PoolLimits
from worker.executor import Executor
from worker.functions import Functions
from worker.housekeeping import keep_house
from worker.image_cache import ImageCache
from worker.journal import Journal
from worker.loop import Loop, until
from worker.options import WorkerOptions
from worker.platform_lines import platform_lines
from worker.provisioning.keeper import Host, Keeper
from worker.run_tracing import RunTracing
from worker.runtimes.official.table import installed
from worker.runtimes.watch import watch_runtimes
from worker.sandbox.interface import SandboxUnavailable
from worker.settlement import Settlement
from worker.snapshots import Snapshots
from worker.telling import Telling

log = logging.getLogger(__name__)

RESTART_ME = 75
"""Exit status after a lost lease: a fresh process must take over."""

LEAVE_SECONDS = 1.0
"""How long a worker that stops tries to tell the others, so that they provision its share."""

_SMALLEST_FUNCTION_MB = 128
_MOST_CONCURRENT = 1_000
_OVERCOMMIT = 8
"""Functions use a fraction of their memory setting. Each is held to it where control groups are, and when the
machine itself runs short, idle environments are stopped (`housekeeping`)."""


def run(settings: Settings, options: WorkerOptions) -> int:
    """Run one worker until SIGTERM or SIGINT; the exit status."""
    try:
        return uvloop.run(_serve(settings, options))
    except (BrokerUnavailable, SandboxUnavailable) as error:
        log.error("worker_cannot_start: %s", error)
        return 1


async def _serve(settings: Settings, options: WorkerOptions) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tracing = Tracing.from_environ("worker")
    async with _parts(settings, options, tracing) as parts:
        settle_in()
        log.info("worker_ready", extra={"epoch": parts.consumer.epoch, "pid": os.getpid()})
        status = await _until_stopped(stop, parts, options.drain_seconds)
    await asyncio.to_thread(tracing.close)
    return status


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs in a worker's life."""

    loop: Loop
    consumer: Consumer
    pool: Pool
    keeper: Keeper


async def _until_stopped(stop: asyncio.Event, parts: Parts, drain_seconds: float) -> int:
    loop, consumer = parts.loop, parts.consumer
    housekeeping = asyncio.create_task(keep_house(parts.pool, parts.keeper), name="keep house")
    try:
        await until(stop, loop.run())
    except LeaseLost as error:
        log.error("lease_lost: %s", error)
        loop.abandon()
        return RESTART_ME
    finally:
        housekeeping.cancel()
        await asyncio.wait({housekeeping}, timeout=LEAVE_SECONDS)
    log.info("worker_drains", extra={"grace_seconds": drain_seconds})
    with contextlib.suppress(BrokerError):
        await consumer.stop()
    await loop.drain(drain_seconds)
    return 0


@asynccontextmanager
async def _parts(settings: Settings, options: WorkerOptions, tracing: Tracing) -> AsyncIterator[Parts]:
    """Open everything in order; close it in the other."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(connected(settings))
        broker, registry, logs = opened.broker, opened.registry, opened.logs
        factory = ProcessEnvironmentFactory(
            settings.data_dir / "environments",
            library_directory=settings.data_dir / "runtime",
            find_official=partial(installed, settings.data_dir / "runtimes"),
            policy=options.isolation,
        )
        await factory.open()
        stack.push_async_callback(factory.close)
        log.info("isolation", extra={"level": str(factory.level), "network": options.isolation.network})
        for problem in factory.problems():
            log.warning("sandbox_is_weaker: %s", problem)

        def journal(spec: EnvironmentSpec) -> Journal:
            lines = platform_lines(spec.log_format, spec.system_log_level)
            return Journal(logs.append, spec.function_name, lines)

        pool = Pool(factory, PoolLimits(_memory_mb(options)), journal, _keep_alive(options))
        stack.push_async_callback(pool.close)
        store = CodeStore(settings)
        code = CodeCache(settings.data_dir / "code-cache", store)
        stack.push_async_callback(code.close)
        images = ImageCache(settings.data_dir / "image-cache", store)
        stack.push_async_callback(images.close)
        sweep = sweep_code((code, images), registry)
        stack.push_async_callback(end, asyncio.create_task(sweep, name="sweep-code"))
        senders = DestinationSenders(settings)
        stack.push_async_callback(senders.close)
        functions = Functions(registry, code, images, settings)
        executor = Executor(
            broker,
            functions,
            pool,
            Settlement(Telling(registry, senders), broker.count, settings.retry_step_seconds),
            RunTracing(tracing),
            Snapshots(functions, pool, registry),
        )
        capacity = _capacity(options)
        consumer = await broker.consumer(capacity, factory.runtimes())
        stack.push_async_callback(_sign_off, consumer)
        watch = watch_runtimes(settings.data_dir / "runtimes", factory, consumer)
        stack.push_async_callback(end, asyncio.create_task(watch, name="watch-runtimes"))
        host = Host(consumer.epoch, _memory_mb(options), factory.runtimes)
        keeper = Keeper(host, opened.provisioning, registry, functions, pool, consumer.offer)
        yield Parts(Loop(consumer, executor.execute, capacity), consumer, pool, keeper)


async def _sign_off(consumer: Consumer) -> None:
    with contextlib.suppress(BrokerError):
        await consumer.close()


def _keep_alive(options: WorkerOptions) -> KeepAlive:
    fixed = options.keep_alive_seconds
    return AdaptiveKeepAlive() if fixed is None else FixedKeepAlive(fixed)


def _memory_mb(options: WorkerOptions) -> int:
    if options.memory_mb:
        return options.memory_mb
    machine_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_048_576
    return max(_SMALLEST_FUNCTION_MB, machine_mb * _OVERCOMMIT // (options.siblings + 1))


def _capacity(options: WorkerOptions) -> int:
    by_memory = max(1, _memory_mb(options) // _SMALLEST_FUNCTION_MB)
    return options.max_concurrency or min(_MOST_CONCURRENT, by_memory)
