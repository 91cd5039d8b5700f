"""What is no invocation, found where invocations wait, must stop nobody."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
import redis

from tests.faults.callers import Callers
from tests.faults.leaks import is_alive
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

HEADER = b"async 3 4 1 1 0 recorder\n"
UNREADABLE = {
    b"no-body": HEADER,
    b"garbled": HEADER + b"\xc1\xc1\xc1",
    b"not-an-invocation": HEADER + b"\x93\x01\x02\x03",
}
WITHOUT_HEADER = {b"no-header": b"\x00\xff garbage", b"empty": b""}
WITH_BINARY_ID = {b"\xff\xfe": HEADER + b"\x80"}

Messages = Mapping[bytes, bytes]


@pytest.fixture
def server(system: LiveSystem) -> Iterator[redis.Redis]:
    server = redis.Redis(unix_socket_path=str(system.redis_socket))
    yield server
    server.close()


EVERY_KIND = pytest.mark.parametrize(
    "messages",
    [UNREADABLE, WITHOUT_HEADER, WITH_BINARY_ID],
    ids=["unreadable", "no header", "binary id"],
)


@EVERY_KIND
def test_bad_messages_on_a_lane_are_set_aside(
    system: LiveSystem, callers: Callers, server: redis.Redis, deploy_recorder: Callable[..., None],
    messages: Messages,
) -> None:  # fmt: skip
    deploy_recorder(system)
    [worker] = system.pids("worker")
    for request_id, message in messages.items():
        server.hset("lightswitch:messages", request_id, message)
        server.rpush("lightswitch:lane:async:3", request_id)
    sync_lane = f"lightswitch:run:{server.info('server')['run_id']}:lane:sync:3"
    server.rpush(sync_lane, b"without-message")
    _make_a_worker_look_at_its_lanes(system, worker)

    lanes = ("lightswitch:lane:async:3", sync_lane)
    eventually("empty lanes", lambda: not server.exists(*lanes))
    _are_dead_letters(server, messages)
    _still_works(system, callers)


@EVERY_KIND
def test_bad_messages_that_are_delayed_are_set_aside(
    system: LiveSystem, callers: Callers, server: redis.Redis, deploy_recorder: Callable[..., None],
    messages: Messages,
) -> None:  # fmt: skip
    deploy_recorder(system)
    for request_id, message in messages.items():
        server.hset("lightswitch:messages", request_id, message)
        server.zadd("lightswitch:delayed", {request_id: time.time() * 1000})

    eventually("nothing delayed", lambda: server.zcard("lightswitch:delayed") == 0)
    _are_dead_letters(server, messages)
    _still_works(system, callers)


def test_bad_pushes_to_a_worker_and_to_an_inbox_change_nothing(
    system: LiveSystem, callers: Callers, server: redis.Redis, deploy_recorder: Callable[..., None]
) -> None:
    deploy_recorder(system)
    roles = [*system.pids("worker"), *system.pids("gateway")]
    channels = server.pubsub_channels("lightswitch:*")
    assert len(channels) >= 2, "a worker and a gateway listen"
    for channel in channels:
        for garbage in (b"", b"\n", b"\xff", b"unknown-id", *UNREADABLE.values(), *WITHOUT_HEADER.values()):
            server.publish(channel, garbage)

    _still_works(system, callers)
    assert all(map(is_alive, roles))


def _are_dead_letters(server: redis.Redis, messages: Messages) -> None:
    """Nothing is dropped in silence, and nothing is kept where work waits."""
    eventually("dead letters", lambda: server.xlen("lightswitch:dead") == len(messages), 5)
    assert server.hlen("lightswitch:messages") == 0


def _make_a_worker_look_at_its_lanes(system: LiveSystem, worker: int) -> None:
    """An idle worker is handed messages and looks at no lane; one that starts looks at all."""
    os.kill(worker, signal.SIGTERM)
    eventually("another worker", lambda: [pid for pid in system.pids("worker") if pid != worker], 15)


def _still_works(system: LiveSystem, callers: Callers) -> None:
    event = {"label": "afterwards"}
    assert callers.call(event).result(15).result == event
    [outcome] = callers.outcomes(callers.accept([event]))
    assert outcome["status"] == "succeeded"
