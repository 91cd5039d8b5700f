"""Queue triggers on Google Cloud Pub/Sub, served by Google's own in-memory server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.triggers.test_queues import Function, serving
from tests.pubsub_server.server import PROJECT, PubSubServer
from tests.waiting import until
from tests.web_server import running
from triggers.queues.message import SourceUnavailable
from triggers.queues.serving import open_source
from triggers.queues.settings import QueueSettings

pytest.importorskip("google.pubsub_v1", reason="no client of Pub/Sub: pip install -e '.[pubsub]'")

READS_AND_HANGS = """
import asyncio, sys
from triggers.queues.serving import open_source
from triggers.queues.settings import QueueSettings

async def main():
    source = await open_source(QueueSettings(url=sys.argv[1], queue=sys.argv[2]), "reader")
    for message in await source.receive(10, 20):
        print(message.body.decode(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class Topic:
    """A producer as any client of Pub/Sub is one, and a look into subscriptions; its calls block."""

    def __init__(self, server: PubSubServer, name: str) -> None:
        import grpc
        from google.pubsub_v1.services.publisher import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        self.name = name
        self.path = f"projects/{PROJECT}/topics/{name}"
        channel = grpc.insecure_channel(server.place)
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self.publisher.create_topic(name=self.path)

    def send(self, *bodies: str | bytes, **attributes: str) -> None:
        for body in bodies:
            data = body.encode() if isinstance(body, str) else body
            self.publisher.publish(topic=self.path, messages=[{"data": data, "attributes": attributes}])

    def take(self, subscription: str) -> list[Any]:
        """What is there to be received now."""
        path = f"projects/{PROJECT}/subscriptions/{subscription}"
        with warnings.catch_warnings(action="ignore"):  # it is deprecated to not wait
            pulled = self.subscriber.pull(subscription=path, max_messages=10, return_immediately=True)
        return [each.message for each in pulled.received_messages]

    def close(self) -> None:
        self.publisher.transport.close()
        self.subscriber.transport.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubServer]:
    with running(PubSubServer(tmp_path_factory.mktemp("pubsub"))) as server:
        yield server


@pytest.fixture
def topic(server: PubSubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.place)
    topic = Topic(server, f"orders-{uuid.uuid4().hex[:8]}")
    yield topic
    topic.close()


def settings(topic: Topic, **members: Any) -> QueueSettings:
    return QueueSettings(
        **{
            "url": f"gcpubsub://projects/{PROJECT}",
            "queue": f"{topic.name}-readers",
            "exchange": topic.name,
            "retry_delay_seconds": 0.05,
            **members,
        }
    )


async def test_plain_messages_run_with_their_attributes_and_are_acknowledged(topic: Topic) -> None:
    function = Function()
    chosen = settings(topic, batch_size=4, batching_window_seconds=0.2)
    async with serving(chosen, function):
        topic.send(*map(str, range(8)), tenant="t1")
        topic.send(b"\xff")
        await until(lambda: len(function.bodies) == 9, 20)
    assert sorted(function.bodies) == sorted([*map(str, range(8)), "/w=="])
    assert max(map(len, function.batches)) == 4
    assert function.batches[0][0]["headers"] == {"tenant": "t1"}
    assert function.batches[0][0]["properties"]["message_id"]
    assert topic.take(chosen.queue) == []


async def test_a_poison_message_is_set_aside_and_kept_and_the_others_run(topic: Topic) -> None:
    function = Function(lambda bodies: ValueError("poison") if "bad" in bodies else None)
    chosen = settings(topic, batch_size=2, max_receives=3)
    async with serving(chosen, function) as reports:
        topic.send("bad", *map(str, range(5)), tenant="t1")
        await until(lambda: any("dead-letter" in report for report in reports), 20)
        await until(lambda: {str(n) for n in range(5)} <= set(function.bodies), 20)
    assert function.bodies.count("bad") == 3
    (letter,) = topic.take(chosen.dead_letters)
    assert (letter.data, letter.attributes["tenant"]) == (b"bad", "t1")
    assert "poison" in letter.attributes["x-lightswitch-reason"]
    assert topic.take(chosen.queue) == []


async def test_a_topic_reaches_every_subscription(topic: Topic) -> None:
    first, second = Function(), Function()
    other = settings(topic, queue=f"{topic.name}-others")
    async with serving(settings(topic), first), serving(other, second):
        topic.send("hello")
        await until(lambda: first.bodies == second.bodies == ["hello"], 20)


async def test_what_is_in_hand_at_the_end_is_given_back(topic: Topic) -> None:
    source = await open_source(settings(topic), "reader")
    topic.send("kept")
    assert [message.body for message in await source.receive(1, 20)] == [b"kept"]
    await source.close()
    function = Function()
    async with serving(settings(topic), function):
        await until(lambda: function.bodies == ["kept"], 20)


async def test_messages_of_a_killed_reader_come_again(
    topic: Topic, monkeypatch: pytest.MonkeyPatch, server: PubSubServer
) -> None:
    chosen = settings(topic)
    path = f"projects/{PROJECT}/subscriptions/{chosen.queue}"
    topic.subscriber.create_subscription(name=path, topic=topic.path, ack_deadline_seconds=10)
    topic.send("kept")
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READS_AND_HANGS, chosen.url, chosen.queue),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert reader.stdout is not None
    assert await asyncio.wait_for(reader.stdout.readline(), 30) == b"kept\n"
    reader.send_signal(signal.SIGKILL)
    await reader.wait()
    function = Function()
    async with serving(chosen, function):
        await until(lambda: function.bodies == ["kept"], 30)


async def test_a_long_run_keeps_its_message(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.queues.pubsub_source.ACK_DEADLINE_SECONDS", 3)  # looked after each second
    chosen = settings(topic)
    path = f"projects/{PROJECT}/subscriptions/{chosen.queue}"
    topic.subscriber.create_subscription(name=path, topic=topic.path, ack_deadline_seconds=10)
    source = await open_source(chosen, "reader")
    topic.send("long")
    messages = await source.receive(1, 20)
    assert await source.receive(1, 11.5) == []
    await source.ack(messages)
    await source.close()
    assert topic.take(chosen.queue) == []


async def test_a_missing_subscription_and_a_server_that_is_away_are_named(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await open_source(settings(topic, exchange=""), "reader")
    with pytest.raises(SourceUnavailable, match=f"subscriptions/{topic.name}-readers.*NotFound"):
        await source.receive(1, 20)
    await source.close()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(SourceUnavailable, match="ServiceUnavailable"):
        await open_source(settings(topic), "reader")


async def test_looking_for_credentials_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    asked, answer = threading.Event(), threading.Event()

    def look() -> None:
        asked.set()
        assert answer.wait(5), "the loop stood still"
        raise DefaultCredentialsError("nobody knows us")

    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", look)
    opening = asyncio.create_task(
        open_source(QueueSettings(url="gcpubsub://projects/p", queue="q"), "reader")
    )
    await until(asked.is_set)
    answer.set()
    with pytest.raises(SourceUnavailable, match="nobody knows us"):
        await opening
