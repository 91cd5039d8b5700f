"""The benchmark would be worth nothing if it took wrong answers for right ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.load.connection import is_echo
from tests.benchmarks.load.generator import Send, run
from tests.benchmarks.measurements import Round, median_round, summarise
from tests.benchmarks.payloads import PAYLOAD_BYTES, encode, event
from tests.signed_requests import Endpoint

PAYLOAD = encode(event(7))
ENDPOINT = Endpoint("127.0.0.1", 9, "key", "secret", "us-east-1")
CALL = invoke(ENDPOINT, "echo", PAYLOAD)


@asynccontextmanager
async def server_that_answers(response: bytes) -> AsyncIterator[int]:
    """A server that reads one request after the other and answers each the same; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(PAYLOAD_BYTES)
                writer.write(response)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def send(response: bytes, calls: list[Call]) -> Send:
    sink = Send(calls, len(calls), keeping=True)
    async with server_that_answers(response) as port:
        await run(sink, "127.0.0.1", port, connections=2)
    return sink


async def test_right_answers_are_counted_and_kept() -> None:
    sink = await send(answer("200 OK", PAYLOAD), [CALL] * 6)
    assert (len(sink.latencies), sink.errors, len(sink.answers)) == (6, 0, 6)


@pytest.mark.parametrize(
    "response",
    [
        answer("200 OK", PAYLOAD.replace(b"7", b"8")),
        answer("200 OK", b"not JSON"),
        answer("429 Too Many Requests", PAYLOAD),
    ],
    ids=["another payload", "not JSON", "an error status"],
)
async def test_a_wrong_answer_is_an_error(response: bytes) -> None:
    sink = await send(response, [CALL] * 4)
    assert (len(sink.latencies), sink.errors) == (0, 4)


async def test_a_connection_that_breaks_off_is_an_error() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    sink = Send([CALL] * 2, 2, keeping=False)
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        await run(sink, "127.0.0.1", server.sockets[0].getsockname()[1], connections=2)
    assert (len(sink.latencies), sink.errors) == (0, 2)


def test_an_echo_may_be_spaced_differently() -> None:
    assert is_echo(b'{"a":1}', b'{"a": 1}')
    assert not is_echo(b'{"a":2}', b'{"a": 1}')


def test_payloads_are_one_kilobyte_and_distinct() -> None:
    payloads = [encode(event(number)) for number in (0, 9, 10, 255)]
    assert {len(payload) for payload in payloads} == {PAYLOAD_BYTES}
    assert len(set(payloads)) == len(payloads)


def test_a_round_reports_rate_and_percentiles() -> None:
    measured = summarise([n / 1000 for n in range(1, 101)], errors=2, elapsed_seconds=4)
    assert (measured.requests_per_second, measured.errors) == (25, 2)
    assert (measured.p50_ms, measured.p99_ms) == (51, 100)


def test_a_spoiled_round_does_not_move_the_median() -> None:
    rounds = [Round(10, 0, 1, rate, p50, p50, p50) for rate, p50 in ((100, 1), (3, 50), (102, 1.2))]
    assert (median_round(rounds).requests_per_second, median_round(rounds).p50_ms) == (100, 1.2)
