"""Invoke, the hot path: from an HTTP request to a message on the broker, and back.

Off FastAPI's routing and models: a request that meets a warm environment should cost the gateway little
more than reading it, checking its signature and two writes. `Invoke.answer` knows no server; it is reached
by plain ASGI, and faster by `gateway.invoke_protocol`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from broker.errors import BrokerError, BrokerUnavailable, FunctionNotFound, Throttled
from broker.interface import Broker, ReplyInbox
from broker.invocation import Invocation, Reply, new_request_id, now_ms
from broker.registry.interface import Registry
from broker.registry.model import FunctionConfig, FunctionRecord
from gateway.auth import SignatureVerifier
from gateway.errors import ApiError
from gateway.http_body import BodyTooLarge, CallerGone, Receive, Scope, Send, read_body, send_response
from gateway.invoke_request import BODY_LIMIT_BYTES, InvokeRequest, parse, too_large
from gateway.invoke_tracing import InvokeTracing
from gateway.invoke_watch import CallWatch
from gateway.lambda_api.errors import conflict, throttled
from gateway.lambda_api.qualifiers import FunctionNames

log = logging.getLogger(__name__)

QUEUE_PATIENCE_SECONDS = 60.0
"""How long a caller waits beyond the function's own time: for a slot and for its environment's start."""
_MOST_EVENT_AGE_MS = 6 * 3600 * 1000


Headers = list[tuple[bytes, bytes]]


class InvokeCall(msgspec.Struct, frozen=True):
    """One HTTP request as it arrived. `gone` returns when the caller has hung up."""

    method: str
    raw_path: bytes
    query_string: bytes
    headers: Headers
    body: bytes
    gone: Callable[[], Awaitable[None]]


class InvokeAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP response; `headers` lack the content length."""

    status: int
    headers: Headers
    body: bytes


class Invoke:
    """Answers `POST /2015-03-31/functions/NAME/invocations`; also an ASGI callable."""

    def __init__(
        self,
        broker: Broker,
        inbox: ReplyInbox,
        registry: Registry,
        verifier: SignatureVerifier,
        names: FunctionNames,
        tracing: InvokeTracing,
    ) -> None:
        self._broker = broker
        self._inbox = inbox
        self._registry = registry
        self._verifier = verifier
        self._names = names
        self._tracing = tracing
        self._loop = asyncio.get_running_loop()
        self._watch = CallWatch(self._loop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        request_head = scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
        try:
            body = await read_body(receive, scope["headers"], BODY_LIMIT_BYTES)
            answer = await self.answer(InvokeCall(*request_head, body, gone))
        except BodyTooLarge:
            answer = _refusal(too_large(), new_request_id())
        except CallerGone:
            return
        await send_response(send, answer.status, answer.headers, answer.body)

    async def answer(self, call: InvokeCall) -> InvokeAnswer:
        """The response to a call, whatever becomes of it. Raises CallerGone where nobody reads it."""
        request_id = new_request_id()
        try:
            return await self._answer(call, request_id)
        except ApiError as error:
            return _refusal(error, request_id)
        except Throttled:
            return _refusal(throttled(), request_id)
        except BrokerUnavailable as error:
            return _refusal(_unavailable(str(error)), request_id)
        except CallerGone:
            raise
        except Exception:
            log.critical("invoke_failed", extra={"request_id": request_id}, exc_info=True)
            return _refusal(_unavailable("The gateway failed; its log says why."), request_id)

    async def _answer(self, call: InvokeCall, request_id: str) -> InvokeAnswer:
        self._verifier.verify(call.method, call.raw_path, call.query_string, call.headers, call.body)
        request = parse(call.raw_path, call.query_string, call.headers, call.body)
        record, config, qualifier = await self._function(request)
        headers = [(b"x-amzn-requestid", request_id.encode())]
        if request.type == "DryRun":
            return InvokeAnswer(204, headers, b"")
        span = self._tracing.begin(call.headers, record.name, request_id)
        try:
            invocation = self._invocation(request, record, config, qualifier, request_id, span.carried)
            if request.type == "Event":
                await self._broker.publish(invocation)
                return InvokeAnswer(202, headers, b"")
            reply = await self._call(invocation, config, call)
        finally:
            span.end()
        return InvokeAnswer(200, headers + _reply_headers(reply), reply.payload)

    async def _function(self, request: InvokeRequest) -> tuple[FunctionRecord, FunctionConfig, str]:
        name, qualifier = self._names.parse(request.function_name, request.qualifier)
        record = self._registry.cached(name)
        if record is None:
            try:
                record = await self._registry.get(name)
            except FunctionNotFound:
                raise self._names.not_found(name, qualifier) from None
        config = self._names.resolve(record, qualifier, random.random)
        if config.state != "Active":
            raise _not_ready(self._names.arn(name), config)
        return record, config, qualifier

    def _invocation(
        self,
        request: InvokeRequest,
        record: FunctionRecord,
        config: FunctionConfig,
        qualifier: str,
        request_id: str,
        trace: tuple[str, str],
    ) -> Invocation:
        now = now_ms()
        is_async = request.type == "Event"
        life_ms = _MOST_EVENT_AGE_MS if is_async else round(_patience_seconds(config) * 1000)
        return Invocation(
            request_id=request_id,
            kind="async" if is_async else "sync",
            function_name=record.name,
            version=config.version,
            generation=record.generation,
            invoked_arn=self._names.arn(record.name, qualifier),
            payload=request.payload,
            accepted_ms=now,
            deadline_ms=now + life_ms,
            reply_to="" if is_async else self._inbox.address,
            trace_header=trace[0],
            traceparent=trace[1],
            client_context=request.client_context,
            log_tail=request.log_tail,
            qualifier=qualifier,
        )

    async def _call(self, invocation: Invocation, config: FunctionConfig, call: InvokeCall) -> Reply:
        """Publish and wait for the reply. Raises ApiError, CallerGone, Throttled, BrokerUnavailable."""
        waiting: asyncio.Future[Reply] = self._loop.create_future()
        self._inbox.expect(invocation.request_id, partial(_finish, waiting))
        self._watch.begin(waiting, call.gone, _patience_seconds(config))
        try:
            self._broker.submit(invocation, partial(_refuse, waiting))
            reply = await waiting
        except (CallerGone, TimeoutError, asyncio.CancelledError) as error:
            await self._withdraw(invocation)
            if isinstance(error, TimeoutError):
                raise _unanswered(_patience_seconds(config)) from None
            raise
        finally:
            self._watch.end(waiting)
            self._inbox.forget(invocation.request_id)
        if reply.failure == "Platform":
            raise _platform_failed(reply)
        return reply

    async def _withdraw(self, invocation: Invocation) -> None:
        """Free what a caller held that no longer waits; a run that has begun goes on, as on Lambda."""
        with contextlib.suppress(BrokerUnavailable):
            await asyncio.shield(self._broker.withdraw(invocation))


def _finish(waiting: asyncio.Future[Reply], reply: Reply) -> None:
    if not waiting.done():
        waiting.set_result(reply)


def _refuse(waiting: asyncio.Future[Reply], error: BrokerError) -> None:
    if not waiting.done():
        waiting.set_exception(error)


def _refusal(error: ApiError, request_id: str) -> InvokeAnswer:
    return InvokeAnswer(error.status, error.raw_headers(request_id), error.body())


def _patience_seconds(config: FunctionConfig) -> float:
    return config.timeout_seconds + QUEUE_PATIENCE_SECONDS


def _reply_headers(reply: Reply) -> Headers:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amz-executed-version", reply.executed_version.encode()),
    ]
    if reply.failure:
        headers.append((b"x-amz-function-error", reply.failure.encode()))
    if reply.log_tail:
        headers.append((b"x-amz-log-result", base64.b64encode(reply.log_tail)))
    return headers


def _unavailable(reason: str) -> ApiError:
    return ApiError("ServiceException", 503, reason, message_member="Message", fault="Service")


def _unanswered(patience_seconds: float) -> ApiError:
    text = f"No worker answered within {patience_seconds:g} seconds; the function may have run."
    return ApiError("ServiceException", 500, text, message_member="Message", fault="Service")


def _platform_failed(reply: Reply) -> ApiError:
    text = reply.payload.decode("utf-8", "replace")
    return ApiError("ServiceException", 500, text, message_member="Message", fault="Service")


def _not_ready(arn: str, config: FunctionConfig) -> ApiError:
    if config.state == "Failed":
        return conflict(f"The function {arn} is in the Failed state: {config.state_reason}")
    return conflict(
        "The operation cannot be performed at this time. The function is currently in the following state:"
        f" {config.state}"
    )
