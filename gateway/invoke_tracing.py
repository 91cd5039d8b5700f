"""The trace context of a call: read from its headers, made where it has none, carried in the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from broker.lineage import grafted
from broker.tracing import (
    Tracing,
    context_of,
    new_trace_header,
    trace_header_of,
    traceparent_from,
    traceparent_of,
)
from gateway.auth import Headers

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class CallSpan(msgspec.Struct, frozen=True):
    """The gateway's span of one call; `carried` is its X-Amzn-Trace-Id and its traceparent."""

    carried: tuple[str, str]

    def end(self) -> None:
        """The call was answered."""


class _RecordedSpan(CallSpan, frozen=True):
    span: Span

    def end(self) -> None:
        self.span.end()


class InvokeTracing:
    """Begins a span for each call while tracing is on; else only passes on what the caller sent."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def begin(self, headers: Headers, function_name: str, request_id: str) -> CallSpan:
        """Read `traceparent` and `X-Amzn-Trace-Id`; the former wins where they disagree."""
        traceparent = trace_header = ""
        for name, value in headers:
            if name == b"traceparent":
                traceparent = value.decode("latin-1")
            elif name == b"x-amzn-trace-id":
                trace_header = value.decode("latin-1")
        if self._tracing.enabled:
            return self._record(traceparent, trace_header, function_name, request_id)
        shown = (traceparent and trace_header_of(traceparent)) or trace_header or new_trace_header()
        return CallSpan((grafted(shown, trace_header), traceparent))

    def _record(self, traceparent: str, trace_header: str, function_name: str, request_id: str) -> CallSpan:
        parent = traceparent or traceparent_of(trace_header)
        from opentelemetry.trace import SpanKind

        span = self._tracing.tracer.start_span(
            f"invoke {function_name}",
            context_of(parent),
            SpanKind.SERVER,
            {"faas.name": function_name, "faas.invocation_id": request_id, "faas.trigger": "http"},
        )
        traceparent = traceparent_from(span)
        return _RecordedSpan((grafted(trace_header_of(traceparent), trace_header), traceparent), span)
