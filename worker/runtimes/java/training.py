"""A Runtime API for one process that is started only to be watched: a few events, then a last one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

LATER_MS = 4_102_444_800_000
"""The year 2100: no deadline."""
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:training"
WISHES = ("answer", "answer", "fail", "answer", "end")

VARIABLES = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_training",
    "AWS_LAMBDA_FUNCTION_NAME": "training",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "training",
    "AWS_LAMBDA_LOG_STREAM_NAME": "training",
    "LANG": "en_US.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TZ": ":UTC",
}


@contextmanager
def training_variables() -> Iterator[Mapping[str, str]]:
    """The environment of the process; its Runtime API is there as long as the context."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _trainer()) as server:
        thread = threading.Thread(target=server.serve_forever, name="training")
        thread.start()
        try:
            yield {**VARIABLES, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"}
        finally:
            server.shutdown()
            thread.join()


def _trainer() -> type[BaseHTTPRequestHandler]:
    class Trainer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wishes: ClassVar[Iterator[str]] = iter(WISHES)

        def do_GET(self) -> None:
            event = json.dumps({"wish": next(self.wishes, "end"), "numbers": [1, 2.5, None, True]}).encode()
            headers = {
                "Lambda-Runtime-Aws-Request-Id": "7b1c9f5e-0000-4000-8000-000000000001",
                "Lambda-Runtime-Deadline-Ms": str(LATER_MS),
                "Lambda-Runtime-Invoked-Function-Arn": ARN,
                "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
                "Content-Type": "application/json",
            }
            self._answer(200, event, headers)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(202, b"", {})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: Any) -> None:
            """Nobody wants to know."""

    return Trainer
