"""Invoke, the hot path: from an HTTP request to a message on the broker, and back.

Off FastAPI's routing and models: a request that meets a warm environment should cost the gateway little
more than reading it, checking its signature and two writes. `Invoke.answer` knows no server; it is reached
by plain ASGI, and faster by `gateway.invoke_protocol`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable

import msgspec

from broker.errors import BrokerUnavailable, Throttled
from broker.interface import Broker, ReplyInbox
from broker.invocation import Reply, RequestIds, new_request_id
from broker.registry.interface import Registry
from gateway.auth import SignatureVerifier
from gateway.errors import ApiError
from gateway.function_calls import FunctionCalls
from gateway.http_body import BodyTooLarge, CallerGone, Receive, Scope, Send, read_body, send_response
from gateway.invoke_request import BODY_LIMIT_BYTES, parse, too_large
from gateway.invoke_tracing import InvokeTracing
from gateway.lambda_api.errors import throttled
from gateway.lambda_api.qualifiers import FunctionNames

log = logging.getLogger(__name__)

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
        self.calls = FunctionCalls(broker, inbox, registry, names)
        self._verifier = verifier
        self._tracing = tracing
        self._request_ids = RequestIds()

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
        request_id = self._request_ids.new()
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
        target = await self.calls.find(request.function_name, request.qualifier)
        headers = [(b"x-amzn-requestid", request_id.encode())]
        if request.type == "DryRun":
            return InvokeAnswer(204, headers, b"")
        is_async = request.type == "Event"
        span = self._tracing.begin(call.headers, target.record.name, request_id)
        try:
            invocation = self.calls.invocation(
                target,
                request_id,
                request.payload,
                span.carried,
                client_context=request.client_context,
                log_tail=request.log_tail,
                is_async=is_async,
            )
            if is_async:
                await self.calls.send(invocation)
                return InvokeAnswer(202, headers, b"")
            reply = await self.calls.call(invocation, target.patience_seconds, call.gone)
        finally:
            span.end()
        return InvokeAnswer(200, headers + _reply_headers(reply), reply.payload)


def _refusal(error: ApiError, request_id: str) -> InvokeAnswer:
    return InvokeAnswer(error.status, error.raw_headers(request_id), error.body())


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
