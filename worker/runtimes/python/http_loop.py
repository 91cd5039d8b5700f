"""The function's side of an invocation where the runtime is a program of its own: AWS's Runtime API."""

from __future__ import annotations

import http.client

from . import frames
from .encoding import Encoding
from .function_log import FunctionLog, flush_streams
from .function_loop import HandlerLoop

RUNTIME = "/2018-06-01/runtime"


class HttpLoop(HandlerLoop):
    """A client of the Runtime API at `address` (`host:port`)."""

    def __init__(self, address: str, log: FunctionLog, encoding: Encoding) -> None:
        super().__init__(log, encoding)
        self._connection = http.client.HTTPConnection(address)
        self._request_id = ""

    def _read(self) -> bytes | None:
        self._connection.request("GET", f"{RUNTIME}/invocation/next")
        answer = self._connection.getresponse()
        payload = answer.read()
        if answer.status != 200:
            return None
        self._request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        texts = [
            answer.headers.get(name, "").encode("latin-1")
            for name in (
                "Lambda-Runtime-Aws-Request-Id",
                "Lambda-Runtime-Invoked-Function-Arn",
                "Lambda-Runtime-Trace-Id",
                "Lambda-Runtime-Client-Context",
            )
        ]
        deadline_ms = int(answer.headers["Lambda-Runtime-Deadline-Ms"])
        head = frames.REQUEST.pack(0, 1, deadline_ms, *(len(text) for text in texts))
        return b"".join((head, *texts, payload))

    def _answer(self, run: int, kind: int, body: bytes, started_ns: int = 0) -> None:
        flush_streams()
        if kind == frames.READY:
            return  # the first `next` says so
        path = f"{RUNTIME}/invocation/{self._request_id}/"
        path += "response" if kind == frames.RESPONSE else "error"
        if kind == frames.INIT_ERROR:
            path = f"{RUNTIME}/init/error"
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        self._connection.getresponse().read()
