"""The worker's end of the frames, against a function's end that says anything it likes."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.waiting import until
from worker.environments.frame_channel import FrameChannel
from worker.environments.interface import HandlerFailed, Succeeded, Work
from worker.runtimes.python import frames


@dataclass
class Heard:
    """A listener that notes what it is told."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def runtime_ready(self, report: bytes = b"") -> None:
        self.events.append(("ready",))

    def runtime_init_failed(self, error_type: str, document: bytes) -> None:
        self.events.append(("init failed", error_type))

    def runtime_answered(self, outcome: Succeeded | HandlerFailed, peak_memory_kb: int, run_us: int) -> None:
        self.events.append(("answered", outcome, peak_memory_kb))

    def runtime_violated(self, reason: str) -> None:
        self.events.append(("violated", reason))

    def runtime_hung_up(self) -> None:
        self.events.append(("hung up",))


@dataclass
class Line:
    """A channel, its listener and the function's end."""

    channel: FrameChannel
    heard: Heard
    function: socket.socket

    async def says(self, data: bytes) -> list[tuple[object, ...]]:
        """What the listener hears when the function's end sends `data`."""
        before = len(self.heard.events)
        self.function.sendall(data)
        await until(lambda: len(self.heard.events) > before)
        return self.heard.events[before:]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    heard = Heard()
    channel = FrameChannel(heard)
    channel.open()
    function = channel.function_end.dup()
    channel.process_started()
    yield Line(channel, heard, function)
    channel.close()
    function.close()


def answer(run: int, kind: int, body: bytes = b"", peak_kb: int = 1000) -> bytes:
    length = frames.ANSWER.size - frames.LENGTH_BYTES + len(body)
    return frames.ANSWER.pack(length, run, kind, peak_kb, 17) + body


READY = answer(0, frames.READY)
WORK = Work("id-1", b'{"a":1}', 1234, "arn:x", "Root=1", '{"custom":{}}')


async def test_a_request_carries_all_that_the_function_is_told(line: Line) -> None:
    line.channel.send(WORK)

    frame = line.function.recv(65536)

    length, run, deadline_ms, *sizes = frames.REQUEST.unpack_from(frame)
    texts = frame[frames.REQUEST.size :]
    assert (length, run, deadline_ms) == (len(frame) - frames.LENGTH_BYTES, 1, 1234)
    assert sizes == [4, 5, 6, 13]
    assert texts == b'id-1arn:xRoot=1{"custom":{}}{"a":1}'


async def test_answers_are_reported_with_the_memory_used(line: Line) -> None:
    assert await line.says(READY) == [("ready",)]
    line.channel.send(WORK)
    assert await line.says(answer(1, frames.RESPONSE, b"42")) == [("answered", Succeeded(b"42"), 1000)]
    line.channel.send(WORK)
    document = json.dumps({"errorType": "E", "errorMessage": "m"}).encode()
    expected = ("answered", HandlerFailed("E", document), 1000)
    assert await line.says(answer(2, frames.ERROR, document)) == [expected]


async def test_a_frame_in_pieces_is_put_together(line: Line) -> None:
    await line.says(READY)
    line.channel.send(WORK)
    frame = answer(1, frames.RESPONSE, b"x" * 1000)

    for start in range(0, len(frame) - 1, 7):
        line.function.sendall(frame[start : min(start + 7, len(frame) - 1)])
        line.channel.drain()
    assert line.heard.events == [("ready",)]

    assert await line.says(frame[-1:]) == [("answered", Succeeded(b"x" * 1000), 1000)]


async def test_a_request_larger_than_the_sockets_buffer_is_sent_whole(line: Line) -> None:
    payload = b"x" * 6_000_000
    line.channel.send(Work("id", payload, 0, "arn"))
    received = bytearray()
    line.function.setblocking(False)

    def take() -> bool:
        try:
            received.extend(line.function.recv(1 << 20))
        except BlockingIOError:
            return False
        return len(received) > len(payload) + frames.REQUEST.size

    await until(take)

    assert received.endswith(payload)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        answer(1, 77),
        answer(2, frames.RESPONSE, b"1"),
        answer(0, frames.RESPONSE, b"1"),
        answer(1, frames.READY),
        answer(1, frames.ERROR, b"no document"),
        answer(1, frames.ERROR, b'{"errorType": 5}'),
        answer(1, frames.RESPONSE, b"1") * 2,
        READY,
        answer(0, frames.INIT_ERROR, b"{}"),
        (frames.FRAME_LIMIT_BYTES + 1).to_bytes(4, "little"),
    ],
)
async def test_whatever_is_no_answer_to_the_run_is_a_violation(line: Line, garbage: bytes) -> None:
    await line.says(READY)
    line.channel.send(WORK)

    events = await line.says(garbage)

    assert [event[0] for event in events] == ["violated"]


async def test_an_answer_without_a_run_is_a_violation(line: Line) -> None:
    await line.says(READY)
    line.channel.send(WORK)
    await line.says(answer(1, frames.RESPONSE, b"1"))

    events = await line.says(answer(1, frames.RESPONSE, b"1"))

    assert [event[0] for event in events] == ["violated"]


async def test_nothing_is_heard_after_a_violation(line: Line) -> None:
    await line.says(b"\x00" * 13)

    line.function.sendall(READY)
    line.channel.drain()

    assert [event[0] for event in line.heard.events] == ["violated"]


async def test_the_end_of_the_channel_is_reported_once(line: Line) -> None:
    line.function.close()

    await until(lambda: bool(line.heard.events))

    assert line.heard.events == [("hung up",)]
    line.channel.send(WORK)
    assert line.channel.withdraw()


async def test_work_that_was_not_read_can_be_withdrawn_and_read_work_cannot(line: Line) -> None:
    line.channel.send(WORK)
    assert line.channel.withdraw()

    line.function.recv(65536)

    assert not line.channel.withdraw()
