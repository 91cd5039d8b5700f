"""POST /2018-06-01/runtime/invocation/{id}/response: the handler's result."""

from __future__ import annotations

import base64
import binascii
import json

from worker.environments.interface import HandlerFailed, ResponseSink, Succeeded
from worker.runtime_api.messages import (
    ACCEPTED,
    STREAM_LIMIT_BYTES,
    STREAM_TOO_LARGE,
    TOO_LARGE,
    Request,
    invalid_transition,
)
from worker.runtime_api.session import Session
from worker.runtimes.python.faults import RESPONSE_TOO_LARGE, RESPONSE_TOO_LARGE_MESSAGE

MODE_HEADER = b"lambda-runtime-function-response-mode"
_TRUNCATED = {"errorType": "Runtime.TruncatedResponse", "errorMessage": "Response was truncated"}
TRUNCATED = HandlerFailed(_TRUNCATED["errorType"], json.dumps(_TRUNCATED).encode())
"""A streamed response whose connection ended before it did."""

ERROR_TYPE_TRAILER = b"lambda-runtime-function-error-type"
ERROR_BODY_TRAILER = b"lambda-runtime-function-error-body"


def begin(session: Session, request: Request) -> ResponseSink | None:
    """Where the body of a response goes that is about to come; None: collect it."""
    if request.headers.get(MODE_HEADER, b"").lower() != b"streaming":
        return None
    return session.respond(request.headers.get(b"content-type", b"").decode("latin-1"))


def respond(session: Session, request: Request) -> bytes:
    """Take the result; the HTTP response to the runtime."""
    streamed = request.sink is not None
    answer = ACCEPTED
    outcome: Succeeded | HandlerFailed = Succeeded(request.body)
    if request.too_large:
        answer = STREAM_TOO_LARGE if streamed else TOO_LARGE
        outcome = _too_large(streamed=streamed)
    elif ERROR_TYPE_TRAILER in request.headers:
        outcome = _failed_stream(request)
    if not session.answer(outcome, streamed=streamed):
        return invalid_transition(session.state.value, "response")
    return answer


def _too_large(*, streamed: bool) -> HandlerFailed:
    message = RESPONSE_TOO_LARGE_MESSAGE
    if streamed:
        message = f"Response payload size exceeded maximum allowed payload size ({STREAM_LIMIT_BYTES} bytes)."
    document = {"errorType": RESPONSE_TOO_LARGE, "errorMessage": message}
    return HandlerFailed(RESPONSE_TOO_LARGE, json.dumps(document).encode())


def _failed_stream(request: Request) -> HandlerFailed:
    """A streamed response that broke off says so in its trailers."""
    error_type = request.headers[ERROR_TYPE_TRAILER].decode("latin-1")
    try:
        document = base64.b64decode(request.headers.get(ERROR_BODY_TRAILER, b""), validate=True)
    except binascii.Error:
        document = b""
    fallback = json.dumps({"errorType": error_type, "errorMessage": ""}).encode()
    return HandlerFailed(error_type, document or fallback)
