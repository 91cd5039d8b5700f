"""One trace for each invocation, from the gateway through the queue to the handler.

Off unless an OTLP endpoint is configured (`OTEL_EXPORTER_OTLP_ENDPOINT`), and then free of cost: callers
ask `enabled` once. Two notations travel: W3C `traceparent` between our processes, and AWS's
`X-Amzn-Trace-Id` to the function.

Spans: `invoke FUNCTION` (gateway, server) or `trigger FUNCTION` (producer) > `queue` (accepted until a
worker had it), `environment` (until a warm or new environment had it; a new one adds the child `init`),
`handler`. Attributes follow OpenTelemetry's `faas.*` and `messaging.*` names.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def new_trace_header() -> str:
    """A fresh, unsampled `X-Amzn-Trace-Id`."""
    # Unique is enough, as for opentelemetry's own ids: it need not be beyond guessing.
    drawn = f"{random.getrandbits(160):040x}"
    return f"Root=1-{int(time.time()):08x}-{drawn[:24]};Parent={drawn[24:]};Sampled=0"


def trace_header_of(traceparent: str) -> str:
    """The `X-Amzn-Trace-Id` of a W3C traceparent, empty if that is malformed."""
    parts = traceparent.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return ""
    root = f"1-{parts[1][:8]}-{parts[1][8:]}"
    return f"Root={root};Parent={parts[2]};Sampled={1 if parts[3].endswith('1') else 0}"


def traceparent_of(trace_header: str) -> str:
    """The W3C traceparent of an `X-Amzn-Trace-Id`, empty if that names no parent."""
    fields = dict(part.strip().partition("=")[::2] for part in trace_header.split(";"))
    root, parent = fields.get("Root", "").replace("-", "")[1:], fields.get("Parent", "")
    if len(root) != 32 or len(parent) != 16:
        return ""
    return f"00-{root}-{parent}-{'01' if fields.get('Sampled') == '1' else '00'}"


class Tracing:
    """The tracer of one process. `enabled` is False where nobody collects."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self.enabled = provider is not None

    @classmethod
    def from_environ(cls, role: str, environ: Mapping[str, str] = os.environ) -> Tracing:
        """Export by OTLP where an endpoint is configured; `role` names the process in the trace."""
        wanted = any(environ.get(name) for name in _ENDPOINTS)
        if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return cls(None)
        return cls(_otlp_provider(role))

    @cached_property
    def tracer(self) -> Tracer:
        assert self._provider is not None, "tracing is off"
        return self._provider.get_tracer("lightswitch")

    def close(self) -> None:
        """Export what is left; blocks for some seconds at most."""
        if self._provider is not None:
            self._provider.shutdown()


def context_of(traceparent: str) -> Context:
    """The parent context that a traceparent names; an empty one starts a new trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def traceparent_from(span: Span) -> str:
    """What a child of `span` needs to know."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _otlp_provider(role: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "lightswitch", "service.instance.role": role})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
