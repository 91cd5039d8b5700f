"""InvokeWithResponseStream: what the function writes reaches the caller while it still runs."""

from __future__ import annotations

import asyncio
import base64
import logging

from broker.errors import BrokerUnavailable, Throttled
from broker.interface import IncomingStream
from broker.invocation import Invocation, Reply, new_request_id
from gateway import event_stream
from gateway.auth import SignatureVerifier
from gateway.errors import ApiError
from gateway.function_calls import FunctionCalls, Target, platform_failed, unanswered
from gateway.hang_up import unless_gone
from gateway.http_body import BodyTooLarge, CallerGone, Receive, Scope, Send, read_body, send_response
from gateway.invoke_request import BODY_LIMIT_BYTES, parse_streaming, too_large
from gateway.invoke_tracing import InvokeTracing
from gateway.lambda_api.errors import throttled, unavailable

log = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024
"""A payload that came whole is cut into events of this size."""


class InvokeStream:
    """ASGI: `POST /2021-11-15/functions/NAME/response-streaming-invocations`."""

    def __init__(self, calls: FunctionCalls, verifier: SignatureVerifier, tracing: InvokeTracing) -> None:
        self._calls = calls
        self._verifier = verifier
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            body = await read_body(receive, scope["headers"], BODY_LIMIT_BYTES)
            await unless_gone(self._answer(scope, body, send, request_id), receive)
        except CallerGone:
            return
        except BodyTooLarge:
            await _refuse(send, too_large(), request_id)
        except ApiError as error:
            await _refuse(send, error, request_id)
        except Throttled:
            await _refuse(send, throttled(), request_id)
        except BrokerUnavailable as error:
            await _refuse(send, unavailable(str(error)), request_id)

    async def _answer(self, scope: Scope, body: bytes, send: Send, request_id: str) -> None:
        head = scope["raw_path"], scope["query_string"], scope["headers"]
        self._verifier.verify(scope["method"], *head, body)
        request = parse_streaming(*head, body)
        target = await self._calls.find(request.function_name, request.qualifier)
        if request.type == "DryRun":
            await send_response(send, 204, [(b"x-amzn-requestid", request_id.encode())], b"")
            return
        span = self._tracing.begin(scope["headers"], target.record.name, request_id)
        try:
            invocation = self._calls.invocation(
                target,
                request_id,
                request.payload,
                span.carried,
                client_context=request.client_context,
                log_tail=request.log_tail,
                takes_stream=True,
            )
            await self._stream(invocation, target, send)
        finally:
            span.end()

    async def _stream(self, invocation: Invocation, target: Target, send: Send) -> None:
        begun = False
        try:
            async with (
                asyncio.timeout(target.patience_seconds),
                self._calls.streamed(invocation) as incoming,
            ):
                first = await incoming.read()
                if isinstance(first, Reply) and first.failure == "Platform":
                    raise platform_failed(first)
                begun = True
                await send(_head(invocation))
                await _send_events(first, incoming, send)
        except TimeoutError:
            if not begun:
                raise unanswered(target.patience_seconds) from None
            # The connection ends without the last event, which tells the client.
            log.warning("stream_abandoned", extra={"request_id": invocation.request_id})


async def _send_events(piece: bytes | Reply, incoming: IncomingStream, send: Send) -> None:
    while isinstance(piece, bytes):
        await send(_body(event_stream.payload_chunk(piece)))
        piece = await incoming.read()
    if not piece.failure:
        for start in range(0, len(piece.payload), _PIECE_BYTES):
            await send(_body(event_stream.payload_chunk(piece.payload[start : start + _PIECE_BYTES])))
    await send(_body(_last_event(piece)))
    await send({"type": "http.response.body", "body": b""})


def _last_event(reply: Reply) -> bytes:
    code = "ServiceException" if reply.failure == "Platform" else reply.failure
    details = reply.payload.decode("utf-8", "replace") if reply.failure else ""
    return event_stream.invoke_complete(code, details, base64.b64encode(reply.log_tail).decode())


def _head(invocation: Invocation) -> dict[str, object]:
    headers = [
        (b"content-type", event_stream.CONTENT_TYPE),
        (b"x-amz-executed-version", invocation.version.encode()),
        (b"x-amzn-requestid", invocation.request_id.encode()),
    ]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _body(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _refuse(send: Send, error: ApiError, request_id: str) -> None:
    await send_response(send, error.status, error.raw_headers(request_id), error.body())
