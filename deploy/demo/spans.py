"""Collects the spans of the run, as any OTLP collector would, and prints them as a timeline."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Span:
    """A step with its begin and end, in epoch nanoseconds."""

    name: str
    started_ns: int
    ended_ns: int
    trace_id: str = ""


class Collector:
    """An OTLP endpoint over HTTP, on loopback, from its making until `close`."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, body: bytes) -> None:
        """Keep the spans of one export."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    times = (span.start_time_unix_nano, span.end_time_unix_nano)
                    self._spans.append(Span(span.name, *times, span.trace_id.hex()))

    def trace_of(self, name: str) -> list[Span]:
        """All spans of the first trace that has a span of that name, in the order of their begin."""
        trace_id = next((span.trace_id for span in self._spans if span.name == name), None)
        found = [span for span in self._spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: (span.started_ns, -span.ended_ns))

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def timeline(spans: list[Span]) -> str:
    """One line for each span: when it began, how long it took, and a bar."""
    begin = min(span.started_ns for span in spans)
    whole = max(1, max(span.ended_ns for span in spans) - begin)
    return "\n".join(_line(span, begin, whole) for span in spans)


def _line(span: Span, begin_ns: int, whole_ns: int) -> str:
    after, took = span.started_ns - begin_ns, span.ended_ns - span.started_ns
    left = min(COLUMNS - 1, after * COLUMNS // whole_ns)
    bar = max(1, min(COLUMNS - left, round(took * COLUMNS / whole_ns)))
    times = f"{after / 1e6:9.1f} ms {took / 1e6:9.1f} ms"
    return f"  {span.name:<28}{times}  {' ' * left}{'█' * bar}"
