"""A Runtime API request as parsed, and the answers as they go out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from worker.environments.interface import ResponseSink

PAYLOAD_LIMIT_BYTES = 6_291_556
"""Largest response or error document that Lambda takes from a runtime."""

STREAM_LIMIT_BYTES = 200 * 1024 * 1024
"""Largest streamed response (AWS: 200 MB)."""


@dataclass(slots=True)
class Request:
    """One HTTP request; header names in lower case, trailers among them. `body` is cut off where it is
    above PAYLOAD_LIMIT_BYTES, `body_bytes` says how long it was."""

    method: bytes
    path: bytes
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    body_bytes: int = 0
    sink: ResponseSink | None = None
    """Takes the body of a streamed response in place of `body`."""

    @property
    def too_large(self) -> bool:
        """The body is above the limit."""
        return self.body_bytes > (PAYLOAD_LIMIT_BYTES if self.sink is None else STREAM_LIMIT_BYTES)


def json_answer(status: HTTPStatus, document: Mapping[str, object] | str, headers: str = "") -> bytes:
    """A whole HTTP response with a JSON body; `headers` are complete lines."""
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def refusal(status: HTTPStatus, error_type: str, message: str) -> bytes:
    """A refused call, in the Runtime API's form."""
    return json_answer(status, {"errorMessage": message, "errorType": error_type})


ACCEPTED = json_answer(HTTPStatus.ACCEPTED, {"status": "OK"})

INVALID_REQUEST_ID = refusal(HTTPStatus.BAD_REQUEST, "InvalidRequestID", "Invalid request ID")


def _too_large(limit_bytes: int) -> bytes:
    message = f"Exceeded maximum allowed payload size ({limit_bytes} bytes)."
    return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)


TOO_LARGE = _too_large(PAYLOAD_LIMIT_BYTES)

STREAM_TOO_LARGE = _too_large(STREAM_LIMIT_BYTES)

NOT_FOUND = refusal(HTTPStatus.NOT_FOUND, "NotFound", "The Runtime API has no such path")


def invalid_transition(state: str, call: str) -> bytes:
    """The call does not fit the runtime's state."""
    message = f"{call} is not allowed while the runtime is in state {state}"
    return refusal(HTTPStatus.FORBIDDEN, "InvalidStateTransition", message)
