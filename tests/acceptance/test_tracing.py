"""One invocation is one trace: collected by a real OTLP receiver, from real processes."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance.functions import attempts, call, deploy, send
from tests.live_system import LiveSystem

TRACE_ID = "5759e988bd862e3fe1be46a994272793"
TRACEPARENT = f"00-{TRACE_ID}-53995c3f42cd8ad8-01"
TRACE_HEADER = f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent=53995c3f42cd8ad8;Sampled=1"


class Collector:
    """An OTLP endpoint that keeps every span."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def trace(self, trace_id: str, names: set[str]) -> dict[str, Span]:
        """The spans of one trace by name, once all of `names` have come."""
        for _ in attempts(f"the spans {sorted(names)}"):
            found = {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}
            if names <= found.keys():
                return found
        raise AssertionError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def system(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    directory: Path = tmp_path_factory.mktemp("traced") / "data"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with LiveSystem(directory, variables=variables) as system:
        deploy(system, "traced")
        yield system


def with_header(system: LiveSystem, name: str, value: str) -> Any:
    """A client that sends one more header."""
    client = LiveSystem.client.func(system)  # type: ignore[attr-defined]
    client.meta.events.register(
        "before-sign.lambda.Invoke", lambda request, **_: request.headers.add_header(name, value)
    )
    return client


def test_an_invocation_is_one_trace_from_the_gateway_to_the_handler(
    system: LiveSystem, collector: Collector
) -> None:
    client = with_header(system, "traceparent", TRACEPARENT)
    answer = client.invoke(FunctionName="traced", Payload=json.dumps({"do": "context"}))
    seen = json.loads(answer["Payload"].read())["trace"]
    spans = collector.trace(TRACE_ID, {"invoke traced", "queue", "environment", "init", "handler"})
    root = spans["invoke traced"]
    assert root.parent_span_id.hex() == "53995c3f42cd8ad8"
    for name in ("queue", "environment", "handler"):
        assert spans[name].parent_span_id == root.span_id
    assert spans["init"].parent_span_id == spans["environment"].span_id
    carried, _, lineage = seen.partition(";Lineage=")
    assert carried == f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent={root.span_id.hex()};Sampled=1"
    assert lineage.endswith(":1")
    steps = [spans[name] for name in ("queue", "environment", "handler")]
    assert root.start_time_unix_nano - 2_000_000 <= steps[0].start_time_unix_nano
    assert all(
        before.end_time_unix_nano <= after.start_time_unix_nano for before, after in itertools.pairwise(steps)
    )
    assert steps[-1].end_time_unix_nano <= root.end_time_unix_nano


def test_a_failed_run_is_marked(system: LiveSystem, collector: Collector) -> None:
    trace_id = "11111111222222223333333344444444"
    client = with_header(
        system, "X-Amzn-Trace-Id", f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={'ab' * 8};Sampled=1"
    )
    client.invoke(FunctionName="traced", Payload=json.dumps({"do": "raise"}))
    handler = collector.trace(trace_id, {"handler"})["handler"]
    assert (handler.status.code, handler.status.message) == (2, "ValueError")


def test_an_asynchronous_run_belongs_to_the_trace_of_its_sender(
    system: LiveSystem, collector: Collector
) -> None:
    before = len(collector.spans)
    request_id = send(system, "traced", {})
    for _ in attempts("the handler span of an asynchronous run"):
        runs = [
            span
            for span in collector.spans[before:]
            if span.name == "handler" and request_id in str(span.attributes)
        ]
        if runs:
            break
    spans = collector.trace(runs[0].trace_id.hex(), {"invoke traced", "queue", "handler"})
    assert spans["handler"].parent_span_id == spans["invoke traced"].span_id


def test_the_caller_s_trace_reaches_the_function_while_tracing_is_off(running_system: LiveSystem) -> None:
    deploy(running_system, "untraced")
    client = with_header(running_system, "X-Amzn-Trace-Id", TRACE_HEADER)
    answer = client.invoke(FunctionName="untraced", Payload=json.dumps({"do": "context"}))
    carried, _, lineage = json.loads(answer["Payload"].read())["trace"].partition(";Lineage=")
    assert carried == TRACE_HEADER
    assert lineage.endswith(":1")
    assert "Sampled=0;Lineage=" in call(running_system, "untraced", {"do": "context"})["trace"]
