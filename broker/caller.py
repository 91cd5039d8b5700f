"""Calling a function over the broker, for everything that is not the Invoke hot path.

Event sources, function URLs and HTTP routes call and wait (`call`); stores, topics and schedules leave an
event behind (`send`). Both find the function, draw the version behind an alias and say what went wrong.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import Literal

import msgspec

from broker.awaited_replies import QUEUE_PATIENCE_SECONDS, finish, refuse, withdraw
from broker.call_spans import CallSpans
from broker.errors import (
    CallFailed,
    CallLost,
    FunctionNotReady,
    RecursiveLoop,
)
from broker.interface import Broker, ReplyInbox
from broker.invocation import Invocation, Reply, new_request_id, now_ms
from broker.lineage import is_recursive
from broker.registry.interface import Registry
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.registry.provisioned import is_provisioned
from broker.registry.routing import route
from broker.settings import Settings
from broker.tracing import Tracing, new_trace_header, trace_header_of

log = logging.getLogger(__name__)

_MOST_EVENT_AGE_MS = 6 * 3600 * 1000


class Target(msgspec.Struct, frozen=True):
    """The function that is called, by name and qualifier (empty: `$LATEST`)."""

    function_name: str
    qualifier: str = ""


class Trace(msgspec.Struct, frozen=True):
    """Trace context that a call carries: `X-Amzn-Trace-Id` and W3C `traceparent`."""

    header: str = ""
    traceparent: str = ""


NO_TRACE = Trace()


class Caller:
    """Calls functions for one process; all its parts are started and closed by their owner."""

    def __init__(
        self,
        broker: Broker,
        inbox: ReplyInbox,
        registry: Registry,
        settings: Settings,
        tracing: Tracing | None = None,
    ) -> None:
        self._broker = broker
        self._inbox = inbox
        self._registry = registry
        self._settings = settings
        self._spans = CallSpans(tracing)

    async def call(
        self,
        target: Target,
        payload: bytes,
        *,
        kind: Literal["sync", "poll"] = "poll",
        request_id: str = "",
        trace: Trace = NO_TRACE,
        patience_seconds: float | None = None,
    ) -> Reply:
        """Run the function and wait for its reply, whose `failure` is empty or the function's own.

        Waits for `patience_seconds`, by default the function's timeout and a minute more. Cancelling
        withdraws what no worker has yet. Raises FunctionNotFound, QualifierNotFound, FunctionNotReady,
        RecursiveLoop (see `broker.lineage`: pass the arriving header on in `trace`), Throttled, CallLost (no
        reply in time), CallFailed (the platform's fault), BrokerUnavailable.
        """
        record, config = await self._find(target)
        if record.recursive_loop == "Terminate" and is_recursive(trace.header, record.name):
            log.warning("recursive_loop_stopped", extra={"function": record.name})
            self._broker.count("RecursiveInvocationsDropped", record.name)
            raise RecursiveLoop(record.name)
        patience = config.timeout_seconds + QUEUE_PATIENCE_SECONDS
        if patience_seconds is not None:
            patience = patience_seconds
        with self._spans.around(record.name, trace.traceparent) as traceparent:
            carried = Trace(trace.header, traceparent)
            invocation = self._invocation(
                target, record, config, payload, kind, request_id, carried, patience
            )
            return await self._wait(invocation, patience)

    async def send(
        self,
        target: Target,
        payload: bytes,
        *,
        request_id: str = "",
        trace: Trace = NO_TRACE,
        once: bool = False,
    ) -> str:
        """Leave a durable event for the function; its request id.

        With `once` nothing happens where that request id was sent so before, within an hour. Raises
        FunctionNotFound, QualifierNotFound, FunctionNotReady, BrokerUnavailable.
        """
        record, config = await self._find(target)
        age_seconds = _MOST_EVENT_AGE_MS / 1000
        with self._spans.around(record.name, trace.traceparent) as traceparent:
            carried = Trace(trace.header, traceparent)
            invocation = self._invocation(
                target, record, config, payload, "async", request_id, carried, age_seconds
            )
            if once:
                await self._broker.publish_once(invocation)
            else:
                await self._broker.publish(invocation)
        return invocation.request_id

    async def _find(self, target: Target) -> tuple[FunctionRecord, FunctionConfig]:
        name = target.function_name
        record = self._registry.cached(name) or await self._registry.get(name)
        config = route(record, target.qualifier, random.random)
        if config.state != "Active":
            raise FunctionNotReady(name, config.state)
        return record, config

    def _invocation(
        self,
        target: Target,
        record: FunctionRecord,
        config: FunctionConfig,
        payload: bytes,
        kind: Literal["sync", "async", "poll"],
        request_id: str,
        trace: Trace,
        life_seconds: float,
    ) -> Invocation:
        now = now_ms()
        return Invocation(
            request_id=request_id or new_request_id(),
            kind=kind,
            function_name=record.name,
            version=config.version,
            generation=record.generation,
            invoked_arn=self._settings.function_arn(record.name, target.qualifier),
            payload=payload,
            accepted_ms=now,
            deadline_ms=now + round(life_seconds * 1000),
            reply_to="" if kind == "async" else self._inbox.address,
            trace_header=trace.header or trace_header_of(trace.traceparent) or new_trace_header(),
            traceparent=trace.traceparent,
            qualifier=target.qualifier,
            provisioned=is_provisioned(record, config.version),
        )

    async def _wait(self, invocation: Invocation, patience_seconds: float) -> Reply:
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._inbox.expect(invocation.request_id, partial(finish, waiting))
        try:
            self._broker.submit(invocation, partial(refuse, waiting))
            async with asyncio.timeout(patience_seconds):
                reply = await waiting
        except (TimeoutError, asyncio.CancelledError) as error:
            await withdraw(self._broker, invocation)
            if isinstance(error, TimeoutError):
                _log_loss(invocation, patience_seconds)
                raise CallLost(
                    f"no reply from {invocation.function_name} within {patience_seconds:g} seconds;"
                    " it may have run"
                ) from None
            raise
        finally:
            self._inbox.forget(invocation.request_id)
        if reply.failure == "Platform":
            raise CallFailed(reply.payload.decode("utf-8", "replace"))
        return reply


def _log_loss(invocation: Invocation, patience_seconds: float) -> None:
    names = {"function": invocation.function_name, "request_id": invocation.request_id}
    log.warning("call_lost", extra={**names, "patience_seconds": patience_seconds})
