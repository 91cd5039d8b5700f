"""Frames on a socket pair: the channel of the built-in Python runtime."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import termios

import msgspec

from worker.environments.channel import ChannelListener
from worker.environments.interface import HandlerFailed, Succeeded, Work
from worker.runtime_api.session import Session
from worker.runtimes.python import frames

RECEIVE_BYTES = 65_536
"""Above 128 KiB, every read would map and unmap memory, which costs more than the read."""


class _ErrorDocument(msgspec.Struct):
    error_type: str = msgspec.field(name="errorType")


_AFTER_LENGTH_BYTES = frames.REQUEST.size - frames.LENGTH_BYTES
_decode_error = msgspec.json.Decoder(_ErrorDocument).decode


class FrameChannel:
    """The worker's end. Everything that comes from the function's end is checked."""

    def __init__(self, listener: ChannelListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._socket, self._function_end = socket.socketpair()
        self._socket.setblocking(False)
        self._received = bytearray()
        self._unsent = b""
        self._run = 0
        self._waiting = False
        self._refused = False
        self._reset = False
        self._trusted = True
        self._open = True

    @property
    def function_end(self) -> socket.socket:
        return self._function_end

    @property
    def session(self) -> Session:
        """The runtime says nothing over HTTP."""
        session = Session(self._listener)
        session.close()
        return session

    def open(self) -> None:
        self._loop.add_reader(self._socket, self._receive)

    def process_started(self) -> None:
        self._function_end.close()

    def send(self, work: Work) -> None:
        self._run = self._run % 0xFFFF_FFFF + 1
        self._waiting = True
        request_id = work.request_id.encode()
        arn = work.invoked_arn.encode()
        trace = work.trace_header.encode()[:0xFFFF]
        context = work.client_context.encode()
        sizes = len(request_id), len(arn), len(trace), len(context)
        length = _AFTER_LENGTH_BYTES + sum(sizes) + len(work.payload)
        header = frames.REQUEST.pack(length, self._run, work.deadline_ms, *sizes)
        self._write(b"".join((header, request_id, arn, trace, context, work.payload)))

    def withdraw(self) -> bool:
        """A frame that was not read to its end was not run: the kernel tells in one of three ways."""
        return self._refused or self._reset or (self._open and self._unread_bytes() > 0)

    def drain(self) -> None:
        while self._open and self._trusted and self._receive():
            pass

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        self._function_end.close()

    def _write(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The process is dead or has closed its end; the reading side reports it.
            self._refused = True
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._socket, self._write_rest)

    def _write_rest(self) -> None:
        self._loop.remove_writer(self._socket)
        data, self._unsent = self._unsent, b""
        self._write(data)

    def _receive(self) -> bool:
        """Read once and report complete frames; False when there is no more to read."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            # The other end is closed while something of ours lies there unread.
            self._reset = True
            data = b""
        if not data:
            self._loop.remove_reader(self._socket)
            self._listener.runtime_hung_up()
            return False
        self._take(data)
        return True

    def _unread_bytes(self) -> int:
        """What lies unread at the other end, if a descendant of the dead process still holds it."""
        queued = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(queued, "little")

    def _take(self, data: bytes) -> None:
        if self._received:
            self._received += data
            data = b""
        frame = data or self._received
        if len(frame) < frames.LENGTH_BYTES:
            self._keep(data)
            return
        total = frames.LENGTH_BYTES + int.from_bytes(frame[: frames.LENGTH_BYTES], "little")
        if not frames.ANSWER.size <= total <= frames.FRAME_LIMIT_BYTES:
            self._violated(f"a frame of {total} bytes")
        elif len(frame) < total:
            self._keep(data)
        elif len(frame) > total:
            self._violated("more than one answer")
        else:
            complete = bytes(frame)
            self._received.clear()
            self._report(complete)

    def _keep(self, data: bytes) -> None:
        self._received += data

    def _report(self, frame: bytes) -> None:
        _, run, kind, peak_kb, run_us = frames.ANSWER.unpack_from(frame)
        body = frame[frames.ANSWER.size :]
        if kind in (frames.RESPONSE, frames.ERROR):
            self._report_answer(run, kind, peak_kb, run_us, body)
        elif run != 0 or self._run != 0:
            self._violated("readiness reported twice")
        elif kind == frames.READY:
            self._listener.runtime_ready(body)
        elif kind == frames.INIT_ERROR:
            self._report_init_error(body)
        else:
            self._violated(f"a frame of unknown kind {kind}")

    def _report_answer(self, run: int, kind: int, peak_kb: int, run_us: int, body: bytes) -> None:
        if not self._waiting or run != self._run:
            self._violated(
                f"an answer for run {run} while {self._run if self._waiting else 'none'} is under way"
            )
            return
        self._waiting = False
        if kind == frames.RESPONSE:
            if len(body) > frames.RESPONSE_LIMIT_BYTES:
                self._violated(f"a response of {len(body)} bytes")
                return
            self._listener.runtime_answered(Succeeded(body), peak_kb, run_us)
        elif (error_type := _error_type(body)) is None:
            self._violated("an error that is no error document")
        else:
            self._listener.runtime_answered(HandlerFailed(error_type, body), peak_kb, run_us)

    def _report_init_error(self, body: bytes) -> None:
        error_type = _error_type(body)
        if error_type is None:
            self._violated("an init error that is no error document")
        else:
            self._listener.runtime_init_failed(error_type, body)

    def _violated(self, reason: str) -> None:
        self._trusted = False
        self._loop.remove_reader(self._socket)
        self._received.clear()
        self._listener.runtime_violated(reason)


def _error_type(document: bytes) -> str | None:
    try:
        return _decode_error(document).error_type
    except msgspec.MsgspecError:
        return None
