"""How a streamed response begins: a JSON prelude with status, headers and cookies, 8 NUL bytes, the body.

Only where the runtime names the content type below; any other streamed response is the body of a 200.
"""

from __future__ import annotations

from typing import Any

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.events.http_results import HttpResponse, MalformedResult, response_v2

INTEGRATION_TYPE = "application/vnd.awslambda.http-integration-response"
_DELIMITER = b"\0" * 8
_LIMIT_BYTES = 1 << 20
_STREAMED_TYPE = b"application/octet-stream"


class Prelude:
    """Gathers a stream until its head is complete."""

    def __init__(self, content_type: str) -> None:
        self._has_prelude = content_type.partition(";")[0].strip().lower() == INTEGRATION_TYPE
        self._content_type = content_type.encode("latin-1", "replace") or _STREAMED_TYPE
        self._gathered = bytearray()

    def take(self, piece: bytes) -> HttpResponse | None:
        """The response with what is there of its body; None while the prelude goes on.

        Raises MalformedResult.
        """
        if not self._has_prelude:
            return HttpResponse(200, [(b"content-type", self._content_type)], piece)
        self._gathered += piece
        text, delimiter, body = self._gathered.partition(_DELIMITER)
        if delimiter:
            return _response(bytes(text), bytes(body))
        if len(self._gathered) > _LIMIT_BYTES:
            raise MalformedResult(f"the prelude is longer than {_LIMIT_BYTES} bytes")
        return None

    def end(self) -> HttpResponse:
        """The stream is over already. Raises MalformedResult in the middle of a prelude."""
        if self._has_prelude:
            raise MalformedResult("the stream ended within its prelude")
        return HttpResponse(200, [(b"content-type", self._content_type)], b"")


def _response(text: bytes, body: bytes) -> HttpResponse:
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except UNREADABLE as error:
        raise MalformedResult(f"the prelude is no JSON object: {error}") from error
    members = {name: found.get(name) for name in ("headers", "cookies")}
    head = response_v2(msgspec.json.encode({"statusCode": found.get("statusCode", 200), **members}))
    headers = head.headers
    if all(name != b"content-type" for name, _ in headers):
        headers = [*headers, (b"content-type", _STREAMED_TYPE)]
    return HttpResponse(head.status, headers, body)
