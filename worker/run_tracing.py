"""The worker's spans of an invocation, recorded after the fact so that an untraced run costs nothing."""

from __future__ import annotations

import time

from broker.invocation import Invocation
from broker.tracing import Tracing, context_of
from worker.environments.interface import EnvironmentSpec
from worker.verdict import Verdict

_NS_PER_MS = 1_000_000


class RunTracing:
    """Writes `queue`, `environment` (with `init`) and `handler` under the asker's span."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def now_ns(self) -> int:
        """Epoch nanoseconds; 0 while tracing is off."""
        return time.time_ns() if self._tracing.enabled else 0

    def record(
        self,
        invocation: Invocation,
        spec: EnvironmentSpec,
        verdict: Verdict,
        received_ns: int,
        started_ns: int,
        init_ms: float | None,
    ) -> None:
        """Record a run that has just ended; `init_ms` is None where the environment was warm."""
        if self._tracing.enabled:
            self._spans(invocation, spec, verdict, (received_ns, started_ns, time.time_ns()), init_ms)

    def _spans(
        self,
        invocation: Invocation,
        spec: EnvironmentSpec,
        verdict: Verdict,
        times_ns: tuple[int, int, int],
        init_ms: float | None,
    ) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        received_ns, started_ns, ended_ns = times_ns
        parent, tracer = context_of(invocation.traceparent), self._tracing.tracer
        queue = tracer.start_span(
            "queue",
            parent,
            SpanKind.CONSUMER,
            {"messaging.system": "lightswitch", "messaging.message.id": invocation.request_id},
            start_time=invocation.accepted_ms * _NS_PER_MS,
        )
        queue.end(received_ns)
        environment = tracer.start_span(
            "environment", parent, attributes={"faas.coldstart": init_ms is not None}, start_time=received_ns
        )
        if init_ms is not None:
            init_ns = min(int(init_ms * _NS_PER_MS), started_ns - received_ns)
            within = set_span_in_context(environment)
            tracer.start_span("init", within, start_time=started_ns - init_ns).end(started_ns)
        environment.end(started_ns)
        handler = tracer.start_span(
            "handler",
            parent,
            attributes={
                "faas.name": spec.function_name,
                "faas.version": spec.version,
                "faas.invocation_id": invocation.request_id,
                "faas.max_memory": spec.memory_mb * 1024 * 1024,
            },
            start_time=started_ns,
        )
        if verdict.failure:
            handler.set_status(Status(StatusCode.ERROR, verdict.error_type))
        handler.end(ended_ns)
