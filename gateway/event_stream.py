"""AWS's event stream encoding, as far as Lambda's streamed responses need it.

A message is: total length, headers' length, CRC-32 of these two, headers, payload, CRC-32 of all before it.
Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping

import msgspec

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_STRING = 7


def payload_chunk(data: bytes) -> bytes:
    """A PayloadChunk event."""
    return _CHUNK.encode(data)


def invoke_complete(error_code: str, error_details: str, log_result: str) -> bytes:
    """The InvokeComplete event; empty members are left out."""
    members = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    return _COMPLETE.encode(msgspec.json.encode({name: text for name, text in members.items() if text}))


class _Event:
    """Events of one type: their headers are always the same."""

    def __init__(self, event_type: str, content_type: str) -> None:
        self._headers = _encode_headers(
            {":message-type": "event", ":event-type": event_type, ":content-type": content_type}
        )

    def encode(self, payload: bytes) -> bytes:
        headers = self._headers
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        message = b"".join((prelude, struct.pack(">I", crc32(prelude)), headers, payload))
        return message + struct.pack(">I", crc32(message))


def _encode_headers(headers: Mapping[str, str]) -> bytes:
    return b"".join(
        struct.pack(
            f">B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode()
        )
        for name, value in headers.items()
    )


_CHUNK = _Event("PayloadChunk", "application/octet-stream")
_COMPLETE = _Event("InvokeComplete", "application/json")
