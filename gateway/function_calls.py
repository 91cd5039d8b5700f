"""Calling a function for somebody who waits: find it, make the message, publish it, get the reply.

Invoke, streamed Invoke and function URLs share this; each reads its own requests and words its own answers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from broker.awaited_replies import QUEUE_PATIENCE_SECONDS, finish, refuse, withdraw
from broker.errors import FunctionNotFound
from broker.interface import Broker, IncomingStream, ReplyInbox
from broker.invocation import Invocation, Reply, now_ms
from broker.lineage import is_recursive
from broker.registry.interface import Registry
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.registry.provisioned import is_provisioned
from gateway.errors import ApiError
from gateway.http_body import CallerGone
from gateway.invoke_watch import CallWatch
from gateway.lambda_api.errors import conflict, recursive_invocation
from gateway.lambda_api.qualifiers import FunctionNames

_MOST_EVENT_AGE_MS = 6 * 3600 * 1000

Gone = Callable[[], Awaitable[None]]
"""Returns when the caller has hung up."""


class Target(msgspec.Struct, frozen=True):
    """What a call runs: `config` is the version behind `qualifier` in this draw."""

    record: FunctionRecord
    config: FunctionConfig
    qualifier: str

    @property
    def patience_seconds(self) -> float:
        """How long a caller waits in all."""
        return self.config.timeout_seconds + QUEUE_PATIENCE_SECONDS


class FunctionCalls:
    """Synchronous calls of one gateway process."""

    def __init__(self, broker: Broker, inbox: ReplyInbox, registry: Registry, names: FunctionNames) -> None:
        self._broker = broker
        self._inbox = inbox
        self._registry = registry
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._watch = CallWatch(self._loop)

    async def find(self, function_name: str, asked_qualifier: str = "") -> Target:
        """The function that a request names. Raises ApiError: unknown, or not ready to run."""
        name, qualifier = self._names.parse(function_name, asked_qualifier)
        record = self._registry.cached(name)
        if record is None:
            try:
                record = await self._registry.get(name)
            except FunctionNotFound:
                raise self._names.not_found(name, qualifier) from None
        return self.ready(record, qualifier)

    def ready(self, record: FunctionRecord, qualifier: str) -> Target:
        """A function's version behind a qualifier. Raises ApiError where there is none that can run."""
        config = self._names.resolve(record, qualifier, random.random)
        if config.state != "Active":
            raise _not_ready(self._names.arn(record.name), config)
        return Target(record, config, qualifier)

    def invocation(
        self,
        target: Target,
        request_id: str,
        payload: bytes,
        trace: tuple[str, str],
        *,
        client_context: str = "",
        log_tail: bool = False,
        takes_stream: bool = False,
        is_async: bool = False,
    ) -> Invocation:
        """The message of a call; unless `is_async`, its reply comes to this process.

        `trace`: X-Amzn-Trace-Id, traceparent. Raises ApiError where a call that somebody waits for would go
        on with a recursive loop; an asynchronous one is ended by the worker.
        """
        record, config, qualifier = target.record, target.config, target.qualifier
        if not is_async and record.recursive_loop == "Terminate" and is_recursive(trace[0], record.name):
            self._broker.count("RecursiveInvocationsDropped", record.name)
            raise recursive_invocation(self._names.arn(record.name, qualifier))
        now = now_ms()
        life_ms = _MOST_EVENT_AGE_MS if is_async else round(target.patience_seconds * 1000)
        return Invocation(
            request_id=request_id,
            kind="async" if is_async else "sync",
            function_name=record.name,
            version=config.version,
            generation=record.generation,
            invoked_arn=self._names.arn(record.name, qualifier),
            payload=payload,
            accepted_ms=now,
            deadline_ms=now + life_ms,
            reply_to="" if is_async else self._inbox.address,
            trace_header=trace[0],
            traceparent=trace[1],
            client_context=client_context,
            log_tail=log_tail,
            qualifier=qualifier,
            takes_stream=takes_stream,
            provisioned=bool(record.provisioned) and is_provisioned(record, config.version),
        )

    async def send(self, invocation: Invocation) -> None:
        """Accept an asynchronous one. Raises BrokerUnavailable."""
        await self._broker.publish(invocation)

    async def call(self, invocation: Invocation, patience_seconds: float, gone: Gone) -> Reply:
        """Publish and wait for the reply. Raises ApiError, CallerGone, Throttled, BrokerUnavailable."""
        waiting: asyncio.Future[Reply] = self._loop.create_future()
        self._inbox.expect(invocation.request_id, partial(finish, waiting))
        self._watch.begin(waiting, gone, patience_seconds)
        try:
            self._broker.submit(invocation, partial(refuse, waiting))
            reply = await waiting
        except (CallerGone, TimeoutError, asyncio.CancelledError) as error:
            await withdraw(self._broker, invocation)
            if isinstance(error, TimeoutError):
                raise unanswered(patience_seconds) from None
            raise
        finally:
            self._watch.end(waiting)
            self._inbox.forget(invocation.request_id)
        if reply.failure == "Platform":
            raise platform_failed(reply)
        return reply

    @asynccontextmanager
    async def streamed(self, invocation: Invocation) -> AsyncIterator[IncomingStream]:
        """Publish; the block reads the reply as it comes. Raises Throttled, BrokerUnavailable.

        A block that ends early gives up the call: what still waits is withdrawn, what runs on is not heard.
        """
        stream = self._inbox.expect_stream(invocation.request_id)
        try:
            await self._broker.publish(invocation)
            yield stream
        except (TimeoutError, asyncio.CancelledError):
            await withdraw(self._broker, invocation)
            raise
        finally:
            stream.close()


def unanswered(patience_seconds: float) -> ApiError:
    """Nobody answered in time."""
    text = f"No worker answered within {patience_seconds:g} seconds; the function may have run."
    return ApiError("ServiceException", 500, text, message_member="Message", fault="Service")


def platform_failed(reply: Reply) -> ApiError:
    """The worker, not the function, failed."""
    text = reply.payload.decode("utf-8", "replace")
    return ApiError("ServiceException", 500, text, message_member="Message", fault="Service")


def _not_ready(arn: str, config: FunctionConfig) -> ApiError:
    if config.state == "Failed":
        return conflict(f"The function {arn} is in the Failed state: {config.state_reason}")
    return conflict(
        "The operation cannot be performed at this time. The function is currently in the following state:"
        f" {config.state}"
    )
