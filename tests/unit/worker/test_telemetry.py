"""Telemetry without an environment: shapes for each schema, subscriptions, batches, what is dropped."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.waiting import until
from worker.telemetry.delivery import NotDelivered, sender_for
from worker.telemetry.records import Event, Schema, encoded, trace_context
from worker.telemetry.stream import Telemetry
from worker.telemetry.subscriber import FALLEN_BEHIND, Subscriber
from worker.telemetry.subscription import InvalidSubscription, Subscription, parsed

TIME = 1_669_852_800.1234
WANTED: dict[str, Any] = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/path?a=1"},
}


def request(**changes: Any) -> bytes:
    return json.dumps({**WANTED, **changes}).encode()


def subscription(**changes: Any) -> Subscription:
    return parsed(request(**changes), logs=False)


def shaped(event: Event, schema: Schema) -> Any:
    data = encoded(event, schema)
    return None if data is None else json.loads(data)


def test_an_event_has_time_type_and_record() -> None:
    event = Event(TIME, "function", "function", "a line")

    assert shaped(event, "2022-12-13") == {
        "time": "2022-12-01T00:00:00.123Z",
        "type": "function",
        "record": "a line",
    }


def test_each_schema_has_the_members_it_knows() -> None:
    report = Event(TIME, "platform", "platform.initReport", {"phase": "init", "status": "success"})
    done = Event(TIME, "platform", "platform.runtimeDone", {"requestId": "1", "status": "error", "spans": []})

    assert shaped(report, "2022-12-13")["record"] == {"phase": "init", "status": "success"}
    assert shaped(report, "2022-07-01")["record"] == {"phase": "init"}
    assert shaped(report, "2021-03-18") is None
    assert shaped(done, "2020-08-15") is None
    assert shaped(done, "2021-03-18")["record"] == {"requestId": "1", "status": "failure"}


def test_the_logs_api_has_its_own_events() -> None:
    end = Event(TIME, "platform", "platform.end", {"requestId": "1"})
    subscribed = Event(TIME, "platform", "platform.telemetrySubscription", {"name": "a"})

    assert shaped(end, "2020-08-15")["type"] == "platform.end"
    assert shaped(end, "2022-07-01") is None
    assert shaped(subscribed, "2020-08-15")["type"] == "platform.logsSubscription"


def test_traces_name_their_span() -> None:
    assert trace_context("") == {}
    assert trace_context("Root=1-2;Parent=ab;Sampled=1")["tracing"] == {
        "type": "X-Amzn-Trace-Id",
        "value": "Root=1-2;Parent=ab;Sampled=1",
        "spanId": "ab",
    }


def test_a_subscription_is_read_with_awss_defaults() -> None:
    found = subscription()

    assert (found.port, found.path, found.schema) == (8080, "/path?a=1", "2022-12-13")
    assert (found.buffering.max_items, found.buffering.max_bytes) == (10_000, 262_144)
    assert found.buffering.timeout_ms == 1_000


def test_the_logs_api_takes_ports_and_has_a_default_schema() -> None:
    body = json.dumps({"types": ["function"], "destination": {"protocol": "TCP", "port": 8080}}).encode()

    assert (parsed(body, logs=True).schema, parsed(body, logs=True).port) == ("2020-08-15", 8080)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"types": []}, "types"),
        ({"types": ["everything"]}, "types"),
        ({"schemaVersion": "2020-08-15"}, "schemaVersion"),
        ({"schemaVersion": None}, "schemaVersion"),
        ({"buffering": {"maxItems": 10}}, "maxItems"),
        ({"buffering": {"timeoutMs": 60_000}}, "timeoutMs"),
        ({"destination": {"protocol": "HTTPS", "URI": "https://sandbox.localdomain:1"}}, "protocol"),
        (
            {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}},
            "URI port is not provided",
        ),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:9001"}}, "9001"),
        ({"destination": {"protocol": "HTTP", "URI": "http://example.com:80"}}, "URI host"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:http"}}, "URI"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:80/a\r\nX: 1"}}, "URI"),
    ],
)
def test_what_cannot_be_subscribed_to_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSubscription, match=words):
        subscription(**changes)


@dataclass
class ManualSender:
    """Sends when the test says so."""

    batches: list[list[Any]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def send(self, events: Sequence[bytes]) -> None:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise NotDelivered("no")
        self.batches.append([json.loads(event) for event in events])

    def close(self) -> None:
        """Nothing is open."""


def line(text: str) -> Event:
    return Event(TIME, "function", "function", text)


async def test_a_batch_goes_out_in_time() -> None:
    sender = ManualSender()
    sender.gate.set()
    subscriber = Subscriber(subscription(buffering={"timeoutMs": 25}), sender)

    subscriber.tell(line("one"))
    subscriber.tell(line("two"))
    subscriber.tell(Event(TIME, "extension", "extension", "not asked for"))
    await until(lambda: bool(sender.batches))

    assert [[event["record"] for event in batch] for batch in sender.batches] == [["one", "two"]]


async def test_a_full_batch_goes_out_at_once_and_what_is_too_much_is_told() -> None:
    sender = ManualSender()
    subscriber = Subscriber(subscription(buffering={"maxItems": 1_000, "timeoutMs": 30_000}), sender)

    for number in range(2_500):
        subscriber.tell(line(str(number)))
    sender.gate.set()
    await until(lambda: bool(sender.batches))
    subscriber.flush()
    await until(lambda: len(sender.batches) == 3)

    assert [len(batch) for batch in sender.batches] == [1_000, 1_000, 1]
    (dropped,) = sender.batches[2]
    assert dropped["type"] == "platform.logsDropped"
    assert dropped["record"]["reason"] == FALLEN_BEHIND
    assert dropped["record"]["droppedRecords"] == 500


async def test_a_batch_is_tried_again() -> None:
    sender = ManualSender(failures=2)
    sender.gate.set()
    subscriber = Subscriber(subscription(), sender)

    subscriber.tell(line("one"))
    subscriber.flush()
    await until(lambda: bool(sender.batches))

    assert sender.failures == 0


async def test_nothing_is_sent_while_the_environment_is_frozen() -> None:
    sender = ManualSender()
    sender.gate.set()
    subscriber = Subscriber(subscription(), sender)
    subscriber.pause()

    subscriber.tell(line("one"))
    subscriber.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    before = list(sender.batches)
    subscriber.resume()
    await until(lambda: bool(sender.batches))

    assert before == []
    subscriber.close()


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a server that answers always the same, and what it got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(65_536))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], got


async def to_loopback(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return connection


async def test_a_batch_is_a_request_with_an_array() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, got):
        destination = {"protocol": "HTTP", "URI": f"http://sandbox:{port}/told"}
        sender = sender_for(subscription(destination=destination), to_loopback)

        await sender.send([b'{"a":1}', b'{"b":2}'])

    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /told HTTP/1.1\r\n")
    assert json.loads(body) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 No\r\n\r\n", b"garbage\r\n", b"\xff\r\n\r\n", b""])
async def test_any_other_answer_is_none(answer: bytes) -> None:
    async with listening(answer) as (port, _):
        destination = {"protocol": "HTTP", "URI": f"http://sandbox:{port}"}
        sender = sender_for(subscription(destination=destination), to_loopback)

        with pytest.raises(NotDelivered):
            await sender.send([b"{}"])


async def test_who_subscribes_in_the_middle_of_init_hears_of_its_beginning() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, got):
        telemetry = Telemetry(to_loopback)
        telemetry.tell("platform.initStart", {"phase": "init"})
        telemetry.tell_output("function", b"begun")
        telemetry.tell_output("function", b" and ended\nnext")

        destination = {"protocol": "HTTP", "URI": f"http://sandbox:{port}"}
        telemetry.subscribe("one", subscription(destination=destination))
        telemetry.end_lines()
        await telemetry.flush(5)
        telemetry.close()

    told = json.loads(got[0].partition(b"\r\n\r\n")[2])
    assert [event["record"] for event in told if event["type"] == "function"] == ["begun and ended", "next"]
    assert [event["type"] for event in told if event["type"] != "function"] == [
        "platform.initStart",
        "platform.telemetrySubscription",
    ]


async def test_the_two_apis_exclude_each_other() -> None:
    telemetry = Telemetry(to_loopback)
    telemetry.subscribe("one", subscription())
    logs = {"types": ["function"], "destination": {"protocol": "TCP", "port": 8080}}

    with pytest.raises(InvalidSubscription, match="the other"):
        telemetry.subscribe("two", parsed(json.dumps(logs).encode(), logs=True))
    telemetry.close()


async def test_a_flood_of_empty_lines_in_init_is_kept_in_bounds() -> None:
    telemetry = Telemetry(to_loopback)
    tracemalloc.start()
    for _ in range(20):
        telemetry.tell_output("function", b"\n" * 65_536)

    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    telemetry.close()
    assert kept_bytes < 2_000_000
