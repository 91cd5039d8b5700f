"""The span of a call that a trigger makes: the root of the trace, above `queue`, `environment`, `handler`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broker.tracing import Tracing, context_of, traceparent_from


class CallSpans:
    """Costs nothing where `tracing` is None or off."""

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing if tracing is not None and tracing.enabled else None

    @contextmanager
    def around(self, function_name: str, traceparent: str) -> Iterator[str]:
        """The traceparent that the call carries: the span's own, or the one that came in."""
        if self._tracing is None:
            yield traceparent
            return
        from opentelemetry.trace import SpanKind

        span = self._tracing.tracer.start_span(
            f"trigger {function_name}",
            context_of(traceparent),
            SpanKind.PRODUCER,
            {"faas.name": function_name, "messaging.system": "lightswitch"},
        )
        try:
            yield traceparent_from(span)
        finally:
            span.end()
