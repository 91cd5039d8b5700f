"""The function's side of an invocation: read a request frame, call the handler, write the answer."""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections.abc import Callable

from . import faults, frames, snap_start
from .context import LambdaContext, context_names
from .encoding import Encoding, parse_client_context
from .faults import Fault
from .function_log import FunctionLog, flush_streams
from .handler import Handler, load_handler
from .trace_variable import TraceVariable

OWN_FILES = os.path.dirname(os.path.abspath(__file__)) + os.sep
RECEIVE_BYTES = 65_536

LONG_RUN_US = 1_000
MEASURE_EVERY_NS = 10_000_000
"""How often runs too short to take much memory ask how much was used at most: asking is a tenth of them."""


class HandlerLoop:
    """One function process, from its init to its end. How requests come and answers go is a subclass's
    matter: both as frames."""

    def __init__(self, log: FunctionLog, encoding: Encoding) -> None:
        self._log = log
        self._encoding = encoding
        self._trace = TraceVariable()
        self._names = context_names(os.environ)

    def run(self, handler_name: str, report: Callable[[], bytes] = bytes) -> int:
        """Import the handler and answer requests; returns the process's exit status. `report` is asked what
        to tell of init when it is over."""
        try:
            handler = load_handler(handler_name)
            if snap_start.is_wanted():
                snap_start.before_snapshot()
                snap_start.after_restore()
        except Exception as error:
            return self.give_up(error)
        self.ready(report())
        return self.serve(handler)

    def give_up(self, error: Exception) -> int:
        """Init has failed; the exit status."""
        document = faults.describe(error, "", OWN_FILES)
        self._log.error(document)
        self._answer(0, frames.INIT_ERROR, faults.encode(document))
        return 1

    def ready(self, report: bytes = b"") -> None:
        """Init is over."""
        self._answer(0, frames.READY, report)

    def serve(self, handler: Handler) -> int:
        """Answer requests; the exit status."""
        while True:
            frame = self._read()
            if frame is None:
                return 0
            self._serve(handler, frame)

    def _serve(self, handler: Handler, frame: bytes) -> None:
        _, run, deadline_ms, id_end, arn, trace, context = frames.REQUEST.unpack_from(frame)
        id_start = frames.REQUEST.size
        id_end += id_start
        arn_end = id_end + arn
        trace_end = arn_end + trace
        context_end = trace_end + context
        request_id = frame[id_start:id_end].decode()
        self._log.request_id = request_id
        self._trace.set(frame[arn_end:trace_end].decode())
        started_ns = time.perf_counter_ns()
        try:
            client = parse_client_context(frame[trace_end:context_end].decode())
            lambda_context = LambdaContext(
                self._names, request_id, frame[id_end:arn_end].decode(), deadline_ms, client
            )
            response = handler(self._encoding.decode(frame[context_end:]), lambda_context)
            body = self._encoding.encode(response)
            if len(body) > frames.RESPONSE_LIMIT_BYTES:
                raise Fault(faults.RESPONSE_TOO_LARGE, faults.RESPONSE_TOO_LARGE_MESSAGE)
        except Exception as error:
            document = faults.describe(error, request_id, OWN_FILES)
            self._log.error(document)
            self._answer(run, frames.ERROR, faults.encode(document), started_ns)
        else:
            self._answer(run, frames.RESPONSE, body, started_ns)

    def _read(self) -> bytes | None:
        """The next request; None where there will be no more."""
        raise NotImplementedError

    def _answer(self, run: int, kind: int, body: bytes, started_ns: int = 0) -> None:
        raise NotImplementedError


class FunctionLoop(HandlerLoop):
    """Requests and answers over the worker's channel."""

    def __init__(self, channel: socket.socket, log: FunctionLog, encoding: Encoding) -> None:
        super().__init__(log, encoding)
        self._channel = channel
        self._arrival = select.poll()
        self._arrival.register(channel, select.POLLIN)
        self._peak_kb = 0
        self._measure_at_ns = 0

    def _read(self) -> bytes | None:
        # Who sleeps in recv(2) is also woken when the worker takes the last answer, which freed space to
        # write; poll(2) sleeps on, and spares both sides a tenth of a short run.
        self._arrival.poll()
        data = self._channel.recv(RECEIVE_BYTES)
        if len(data) < frames.LENGTH_BYTES:
            start = self._read_more(data, frames.LENGTH_BYTES)
            if start is None:
                return None
            data = start
        total = frames.LENGTH_BYTES + int.from_bytes(data[: frames.LENGTH_BYTES], "little")
        return data if len(data) == total else self._read_more(data, total)

    def _read_more(self, start: bytes, total: int) -> bytes | None:
        parts = bytearray(start)
        while len(parts) < total:
            data = self._channel.recv(min(total - len(parts), 1 << 20))
            if not data:
                return None
            parts += data
        return bytes(parts)

    def _answer(self, run: int, kind: int, body: bytes, started_ns: int = 0) -> None:
        flush_streams()
        now_ns = time.perf_counter_ns()
        run_us = min((now_ns - started_ns) // 1000, 0xFFFF_FFFF) if started_ns else 0
        if run_us >= LONG_RUN_US or now_ns >= self._measure_at_ns:
            self._measure_at_ns = now_ns + MEASURE_EVERY_NS
            self._peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        length = frames.ANSWER.size - frames.LENGTH_BYTES + len(body)
        self._channel.sendall(frames.ANSWER.pack(length, run, kind, self._peak_kb, run_us) + body)
