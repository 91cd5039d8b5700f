"""The gateway process: put its parts together and serve HTTP until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
import uvloop

from broker.caller import Caller
from broker.cancellation import end
from broker.code_garbage import CodeGarbage
from broker.code_store import CodeStore
from broker.connections import connected
from broker.errors import BrokerUnavailable
from broker.garbage import settle_in
from broker.settings import Settings
from broker.tracing import Tracing
from broker.trigger_store.directory import Directory
from gateway.app import Parts, create_app
from gateway.auth import Credentials, SignatureVerifier
from gateway.function_urls.function_urls import FunctionUrls
from gateway.invoke import Invoke
from gateway.invoke_protocol import InvokeProtocol
from gateway.invoke_stream import InvokeStream
from gateway.invoke_tracing import InvokeTracing
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.options import GatewayOptions
from gateway.readiness import Readiness

log = logging.getLogger(__name__)

_BACKLOG = 4096


def run(settings: Settings, options: GatewayOptions) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    try:
        listener = _listen(options)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.host, options.port, error.strerror or error)
        return 1
    try:
        return uvloop.run(_serve(settings, options, listener))
    except BrokerUnavailable as error:
        log.error("gateway_cannot_start: %s", error)
        return 1


def _listen(options: GatewayOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    return socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)


async def _serve(settings: Settings, options: GatewayOptions, listener: socket.socket) -> int:
    tracing = Tracing.from_environ("gateway")
    async with _parts(settings, options, tracing) as parts:
        server = uvicorn.Server(_uvicorn_config(parts, options))
        settle_in()
        await server.serve(sockets=[listener])
    await asyncio.to_thread(tracing.close)
    return 0


def _uvicorn_config(parts: Parts, options: GatewayOptions) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(parts),
        loop="none",  # ours runs already
        http=partial(InvokeProtocol, parts.invoke, parts.function_urls),  # type: ignore[arg-type]
        proxy_headers=False,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(options.drain_seconds)),
    )


@asynccontextmanager
async def _parts(settings: Settings, options: GatewayOptions, tracing: Tracing) -> AsyncIterator[Parts]:
    """Open everything in order; close it in the other."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(connected(settings))
        broker, registry, logs = opened.broker, opened.registry, opened.logs
        credentials = [Credentials(key, secret) for key, secret in options.credentials.items()]
        verifier = SignatureVerifier(credentials, settings.region)
        names = FunctionNames(settings.region, settings.account_id)
        directory = Directory(opened.triggers)
        await directory.start()
        stack.push_async_callback(directory.close)
        code_store = CodeStore(settings)
        garbage = CodeGarbage(code_store, registry, opened.layers)
        stack.push_async_callback(end, asyncio.create_task(garbage.run(), name="code garbage"))
        inbox = await broker.inbox()
        spans = InvokeTracing(tracing)
        invoke = Invoke(broker, inbox, registry, verifier, names, spans)
        yield Parts(
            settings=settings,
            credentials=credentials,
            broker=broker,
            registry=registry,
            code_store=code_store,
            function_logs=logs,
            layers=opened.layers,
            provisioning=opened.provisioning,
            trigger_store=opened.triggers,
            directory=directory,
            caller=Caller(broker, inbox, registry, settings, tracing),
            verifier=verifier,
            tracing=spans,
            readiness=Readiness(broker),
            invoke=invoke,
            invoke_stream=InvokeStream(invoke.calls, verifier, spans),
            function_urls=FunctionUrls(invoke.calls, registry, verifier, spans, settings.account_id),
            image_directories=options.image_directories,
        )
