"""The short cut of Invoke on the wire: what a connection may do, and that its answers are whole."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from broker.errors import Throttled
from broker.interface import Consumer
from broker.invocation import Invocation, Reply, new_request_id, now_ms
from gateway.invoke_request import BODY_LIMIT_BYTES, SYNC_LIMIT_BYTES
from tests.faults.waiting import eventually
from tests.integration.gateway.conftest import KEY, RunningGateway
from tests.signed_requests import Endpoint, sign

WAIT_SECONDS = 10


class Answer:
    """One response, read to its end and no further."""

    def __init__(self, stream: Any, *, has_body: bool = True) -> None:
        self.status = int(stream.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := stream.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.body: bytes = stream.read(int(self.headers.get("content-length", 0)) if has_body else 0)


class Caller:
    """A raw connection to the gateway."""

    def __init__(self, gateway: RunningGateway, path: str) -> None:
        host, port = gateway.url.removeprefix("http://").split(":")
        self._endpoint = Endpoint(
            host, int(port), KEY.access_key_id, KEY.secret_access_key, gateway.settings.region
        )
        self._path = path
        self._socket = socket.create_connection((host, int(port)), timeout=WAIT_SECONDS)
        self._stream = self._socket.makefile("rb")

    def request(self, body: bytes, **headers: str) -> bytes:
        """The bytes of an Invoke; in names of headers `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return sign(self._endpoint, "POST", self._path, named, body)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def answer(self) -> Answer:
        return Answer(self._stream)

    def head(self) -> Answer:
        """The response to a HEAD request."""
        return Answer(self._stream, has_body=False)

    def is_closed(self) -> bool:
        """Waits until the server closes the connection; false if it says something instead."""
        return self._stream.read(1) == b""

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


@pytest.fixture
def worker(gateway: RunningGateway) -> Iterator[Consumer]:
    consumer: Consumer = gateway.run(gateway.broker.consumer(16))
    yield consumer
    gateway.run(consumer.close())


@pytest.fixture
def path(create: Callable[..., dict[str, Any]], name: str) -> str:
    create()
    return f"/2015-03-31/functions/{name}/invocations"


@pytest.fixture
def caller(gateway: RunningGateway, path: str) -> Iterator[Caller]:
    with closing(Caller(gateway, path)) as connection:
        yield connection


def echo(gateway: RunningGateway, worker: Consumer) -> bytes:
    """Run the next invocation; its payload."""

    async def run_one() -> bytes:
        (delivery,) = await worker.receive(1, WAIT_SECONDS)
        asked = delivery.invocation
        await gateway.broker.reply(asked.reply_to, Reply(asked.request_id, asked.payload))
        await delivery.ack()
        return asked.payload

    payload: bytes = gateway.run(run_one())
    return payload


def held(gateway: RunningGateway) -> int:
    """How many invocations the broker has."""
    depth = gateway.run(gateway.broker.depth())
    return int(depth.queued + depth.running)


def test_a_connection_serves_one_invocation_after_the_other(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    ids = set()
    for body in (b'{"n":1}', b'{"n":2}', b"[]"):
        caller.send(caller.request(body))
        assert echo(gateway, worker) == body
        answer = caller.answer()
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["x-amz-executed-version"] == "$LATEST"
        assert "connection" not in answer.headers
        ids.add(answer.headers["x-amzn-requestid"])
    assert len(ids) == 3


def test_a_connection_may_change_between_the_short_cut_and_the_application(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    for _ in range(2):
        caller.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(caller.answer().body) == {"status": "ok"}
        caller.send(caller.request(b"{}"))
        echo(gateway, worker)
        assert caller.answer().body == b"{}"


def test_a_connection_serves_invocations_and_function_urls_in_turn(
    gateway: RunningGateway, worker: Consumer, caller: Caller, client: Any, name: str
) -> None:
    client.add_permission(
        FunctionName=name,
        StatementId="public",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    target = url.removeprefix(gateway.url).encode()
    for method in (b"GET", b"HEAD", b"POST", b"PURGE"):  # the first finds the URL, the others know it
        body = b"" if method in (b"GET", b"HEAD") else b"text"
        caller.send(b"%b %bp?q HTTP/1.1\r\nHost: x\r\n" % (method, target))
        caller.send(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        event = json.loads(echo(gateway, worker))
        assert (event["rawPath"], event["requestContext"]["http"]["method"]) == ("/p", method.decode())
        if method == b"HEAD":
            assert caller.head().status == 200
        else:
            assert json.loads(caller.answer().body) == event
        caller.send(caller.request(b"{}"))
        echo(gateway, worker)
        assert caller.answer().body == b"{}"


def test_a_refused_call_leaves_the_connection_usable(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    caller.send(caller.request(b"no json"))
    assert caller.answer().headers["x-amzn-errortype"] == "InvalidRequestContentException"
    caller.send(caller.request(b"{}").replace(b"Signature=", b"Signature=0"))
    assert caller.answer().status == 403
    caller.send(caller.request(b"{}", x_amz_invocation_type="DryRun"))
    assert caller.answer().status == 204
    caller.send(caller.request(b"{}"))
    echo(gateway, worker)
    assert caller.answer().status == 200


def test_pipelined_calls_are_answered_in_their_order(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    bodies = [b"1", b"2", b"3"]
    caller.send(b"".join(map(caller.request, bodies)))
    for body in bodies:
        echo(gateway, worker)
        assert caller.answer().body == body
    caller.send(caller.request(b"4"))
    echo(gateway, worker)
    assert caller.answer().body == b"4"


def test_a_request_in_single_bytes_is_understood(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    request = caller.request(b'{"a": 1}')
    caller.send(*(request[at : at + 1] for at in range(len(request))))
    assert echo(gateway, worker) == b'{"a": 1}'
    assert caller.answer().status == 200


def test_a_payload_of_the_limit_passes_both_ways(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    body = b'"' + b"x" * (SYNC_LIMIT_BYTES - 2) + b'"'
    caller.send(caller.request(body))
    assert echo(gateway, worker) == body
    assert caller.answer().body == body


@pytest.mark.parametrize("size", [SYNC_LIMIT_BYTES + 1, BODY_LIMIT_BYTES * 2])
def test_a_payload_over_the_limit_is_refused(caller: Caller, size: int) -> None:
    # What is over the limit of reading is not kept, so that its signature can no longer hold.
    caller.send(caller.request(b'"' + b"x" * (size - 2) + b'"'))
    answer = caller.answer()
    expected = (413, "RequestTooLargeException")
    if size > BODY_LIMIT_BYTES:
        expected = (403, "InvalidSignatureException")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == expected


def test_http_1_0_is_answered_and_closed(gateway: RunningGateway, worker: Consumer, caller: Caller) -> None:
    caller.send(caller.request(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    echo(gateway, worker)
    assert caller.answer().status == 200
    assert caller.is_closed()


def test_a_caller_that_asks_to_close_is_answered_and_closed(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    caller.send(caller.request(b"{}", Connection="close"))
    echo(gateway, worker)
    answer = caller.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert caller.is_closed()


def test_who_expects_100_continue_gets_it_before_the_body_is_sent(
    gateway: RunningGateway, worker: Consumer, caller: Caller
) -> None:
    head, _, body = caller.request(b'{"late":1}', Expect="100-continue").partition(b"\r\n\r\n")
    caller.send(head + b"\r\n\r\n")
    assert caller.answer().status == 100
    caller.send(body)
    assert echo(gateway, worker) == b'{"late":1}'
    assert caller.answer().status == 200


def test_what_a_caller_held_that_hung_up_is_freed(gateway: RunningGateway, caller: Caller, name: str) -> None:
    def has_free_slot() -> bool:
        now = now_ms()
        probe = Invocation(new_request_id(), "sync", name, "$LATEST", 1, "arn", b"", now, now + 1000)
        try:
            gateway.run(gateway.broker.publish(probe))
        except Throttled:
            return False
        return bool(gateway.run(gateway.broker.withdraw(probe)))

    gateway.run(gateway.broker.set_limit(name, 1))
    caller.send(caller.request(b"{}"))
    eventually("the invocation holds the slot", lambda: not has_free_slot())
    caller.close()
    eventually("the slot is free again", has_free_slot)


def test_bytes_that_are_no_http_are_refused(caller: Caller) -> None:
    caller.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert caller.answer().status == 400
    assert caller.is_closed()


def test_an_idle_connection_is_closed_and_a_waiting_one_is_not(
    gateway: RunningGateway, worker: Consumer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.config, "timeout_keep_alive", 1)
    with closing(Caller(gateway, path)) as idle, closing(Caller(gateway, path)) as waiting:
        for caller in (waiting, idle):
            caller.send(caller.request(b"1"))
            echo(gateway, worker)
            assert caller.answer().status == 200
        waiting.send(waiting.request(b"2"))
        assert idle.is_closed()
        echo(gateway, worker)
        assert waiting.answer().body == b"2"


@pytest.fixture
def stopping(gateway: RunningGateway) -> Iterator[RunningGateway]:
    """A second gateway, for a test to stop."""
    second = RunningGateway(gateway.settings)
    second.start()
    yield second
    second.stop()


def test_a_server_that_stops_answers_who_waits_and_closes_who_is_idle(
    gateway: RunningGateway, stopping: RunningGateway, worker: Consumer, path: str
) -> None:
    stop = threading.Thread(target=stopping.stop, daemon=True)
    with closing(Caller(stopping, path)) as idle, closing(Caller(stopping, path)) as waiting:
        for caller in (idle, waiting):
            caller.send(caller.request(b"1"))
            echo(gateway, worker)
            assert caller.answer().status == 200
        waiting.send(waiting.request(b"2"))
        eventually("it waits", lambda: held(gateway) == 1)
        stop.start()
        assert idle.is_closed()
        echo(gateway, worker)
        answer = waiting.answer()
        assert (answer.body, answer.headers["connection"]) == (b"2", "close")
        assert waiting.is_closed()
    stop.join(WAIT_SECONDS)
    assert not stop.is_alive()
