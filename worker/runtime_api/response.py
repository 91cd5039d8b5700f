"""POST /2018-06-01/runtime/invocation/{id}/response: the handler's result."""

from __future__ import annotations

import base64
import binascii
import json

from worker.environments.interface import HandlerFailed, Succeeded
from worker.runtime_api.messages import ACCEPTED, TOO_LARGE, Request, invalid_transition
from worker.runtime_api.session import Session
from worker.runtimes.python.faults import RESPONSE_TOO_LARGE, RESPONSE_TOO_LARGE_MESSAGE

ERROR_TYPE_TRAILER = b"lambda-runtime-function-error-type"
ERROR_BODY_TRAILER = b"lambda-runtime-function-error-body"


def respond(session: Session, request: Request) -> bytes:
    """Take the result; the HTTP response to the runtime."""
    answer = ACCEPTED
    outcome: Succeeded | HandlerFailed = Succeeded(request.body)
    if request.too_large:
        answer = TOO_LARGE
        document = {"errorType": RESPONSE_TOO_LARGE, "errorMessage": RESPONSE_TOO_LARGE_MESSAGE}
        outcome = HandlerFailed(RESPONSE_TOO_LARGE, json.dumps(document).encode())
    elif ERROR_TYPE_TRAILER in request.headers:
        outcome = _failed_stream(request)
    if not session.answer(outcome):
        return invalid_transition(session.state.value, "response")
    return answer


def _failed_stream(request: Request) -> HandlerFailed:
    """A streamed response that broke off says so in its trailers."""
    error_type = request.headers[ERROR_TYPE_TRAILER].decode("latin-1")
    try:
        document = base64.b64decode(request.headers.get(ERROR_BODY_TRAILER, b""), validate=True)
    except binascii.Error:
        document = b""
    fallback = json.dumps({"errorType": error_type, "errorMessage": ""}).encode()
    return HandlerFailed(error_type, document or fallback)
