"""The trace that messages carry in their headers, where their producer passed its own on. Pure.

A function does so with the header `X-Amzn-Trace-Id`, whose value is its `_X_AMZN_TRACE_ID`. AWS's SDKs do
that by themselves, clients of other queues do not. Recursion detection needs it (`broker.lineage`).
OpenTelemetry's `traceparent` is understood as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.caller import Trace
from broker.lineage import merged
from triggers.queues.message import QueueMessage

TRACE_HEADER = "x-amzn-trace-id"
TRACEPARENT_HEADER = "traceparent"
_MOST_CHARACTERS = 4096


def trace_of(messages: Sequence[QueueMessage]) -> Trace:
    """What a run of these messages carries on; empty where they say nothing."""
    if not any(message.headers for message in messages):
        return Trace()
    traceparents = (_header(message, TRACEPARENT_HEADER) for message in messages)
    return Trace(merged(map(trace_header, messages)), next(filter(None, traceparents), ""))


def trace_header(message: QueueMessage) -> str:
    """The `X-Amzn-Trace-Id` of one message; empty where it has none."""
    return _header(message, TRACE_HEADER)


def _header(message: QueueMessage, wanted: str) -> str:
    for name, value in message.headers.items():
        if name.lower() == wanted:
            text = value.decode("latin-1") if isinstance(value, bytes | bytearray) else value
            return text if isinstance(text, str) and len(text) <= _MOST_CHARACTERS else ""
    return ""
