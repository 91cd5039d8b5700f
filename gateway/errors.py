"""The one error that the HTTP edge answers with, and its form on the wire.

Everything a caller can be told goes through `ApiError`: AWS's type string, its status and a message. Other
packages' errors are translated into it where they cross into the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


class ApiError(Exception):
    """An answer to the caller that is no success.

    `error_type` is AWS's type string, `status` the HTTP status. `message_member` is how the JSON body calls
    the message: AWS's shapes say `message` or `Message`. `fault` is AWS's `Type` member: `User`, `Service`,
    or empty where AWS leaves it out. `members` are further body members, `headers` further headers.
    """

    def __init__(
        self,
        error_type: str,
        status: int,
        message: str,
        *,
        message_member: str = "message",
        fault: str = "User",
        members: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.status = status
        self.message = message
        self.message_member = message_member
        self.fault = fault
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON document that AWS's clients read."""
        document = {"Type": self.fault} if self.fault else {}
        return json.dumps({**document, self.message_member: self.message, **self.members}).encode()

    def raw_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """ASGI headers, without the content length."""
        return [
            (b"content-type", b"application/json"),
            (b"x-amzn-errortype", self.error_type.encode()),
            (b"x-amzn-requestid", request_id.encode()),
            *((name.lower().encode(), value.encode()) for name, value in self.headers.items()),
        ]
