"""POST /2018-06-01/runtime/invocation/{id}/error: the handler failed."""

from __future__ import annotations

import json

import msgspec

from worker.environments.interface import HandlerFailed
from worker.runtime_api.messages import ACCEPTED, TOO_LARGE, Request, invalid_transition
from worker.runtime_api.session import Session

ERROR_TYPE_HEADER = b"lambda-runtime-function-error-type"
UNKNOWN_ERROR = "Runtime.Unknown"


class _ErrorDocument(msgspec.Struct):
    error_type: str = msgspec.field(name="errorType", default="")


def fail(session: Session, request: Request) -> bytes:
    """Take the error; the HTTP response to the runtime."""
    if request.too_large:
        return TOO_LARGE
    error_type, document = read_error(request)
    if not session.answer(HandlerFailed(error_type, document)):
        return invalid_transition(session.state.value, "error")
    return ACCEPTED


def read_error(request: Request) -> tuple[str, bytes]:
    """The error's type (from its header, else from the document) and its document, which is made up where
    the runtime sent none that is JSON."""
    error_type = request.headers.get(ERROR_TYPE_HEADER, b"").decode("latin-1")
    try:
        found = msgspec.json.decode(request.body, type=_ErrorDocument)
    except msgspec.MsgspecError:
        error_type = error_type or UNKNOWN_ERROR
        return error_type, json.dumps({"errorType": error_type, "errorMessage": ""}).encode()
    return found.error_type or error_type or UNKNOWN_ERROR, request.body
