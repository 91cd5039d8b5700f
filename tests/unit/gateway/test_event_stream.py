"""Event stream messages, read by botocore's own decoder."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import EventStreamBuffer

from gateway.event_stream import invoke_complete, payload_chunk


def read(data: bytes) -> tuple[dict[str, str], bytes]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    (message,) = list(buffer)
    return message.headers, message.payload


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 256])
def test_a_chunk_is_its_bytes(data: bytes) -> None:
    headers, payload = read(payload_chunk(data))
    assert (headers[":message-type"], headers[":event-type"]) == ("event", "PayloadChunk")
    assert payload == data


def test_the_end_has_what_there_is_to_tell() -> None:
    headers, payload = read(invoke_complete("Unhandled", '{"errorType":"ä"}', ""))
    assert headers[":event-type"] == "InvokeComplete"
    assert json.loads(payload) == {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorType":"ä"}'}
    assert json.loads(read(invoke_complete("", "", ""))[1]) == {}
