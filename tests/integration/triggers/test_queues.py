"""Queue triggers on a real RabbitMQ and a real Redis, with producers that know nothing of kombu."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis
from kombu.connection import Connection

from broker.caller import Trace
from broker.errors import BrokerUnavailable, RecursiveLoop
from broker.invocation import Reply
from broker.lineage import MOST_RUNS, counted, is_recursive
from tests.conftest import StartRedis
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.waiting import until
from triggers.events.queue_messages import queue_event
from triggers.queues.consumer import QueueConsumer
from triggers.queues.message import NotPlaced, QueueMessage, SourceUnavailable
from triggers.queues.runs import Invoke
from triggers.queues.serving import open_source
from triggers.queues.settings import QueueSettings

Result = Callable[[list[str]], bytes | Exception | None]
"""What the function makes of a batch: None succeeds, bytes are its result, errors are raised."""


class Function:
    """Stands where a deployed function would; records what it is given."""

    def __init__(self, result: Result = lambda _: None) -> None:
        self.batches: list[list[Any]] = []
        self.traces: list[Trace] = []
        self._result = result

    @property
    def bodies(self) -> list[str]:
        return [message["body"] for batch in self.batches for message in batch]

    async def __call__(self, payload: bytes, trace: Trace) -> Reply:
        ((_, messages),) = json.loads(payload)["messagesByQueue"].items()
        self.batches.append(messages)
        self.traces.append(trace)
        result = self._result([message["body"] for message in messages])
        if isinstance(result, BrokerUnavailable):
            raise result
        if isinstance(result, Exception):
            return Reply("id", json.dumps({"errorMessage": str(result)}).encode(), "Unhandled")
        return Reply("id", result or b"null")


class Rabbit:
    """A producer as any AMQP client is one, and a look into queues."""

    def __init__(self, server: RabbitmqServer) -> None:
        self.url = server.url
        self._connection = amqp.Connection(f"127.0.0.1:{server.port}")
        self._connection.connect()
        self.channel = self._connection.channel()

    def send(self, queue: str, *bodies: str, **properties: Any) -> None:
        for body in bodies:
            self.channel.basic_publish_confirm(amqp.Message(body, **properties), "", queue)

    def size(self, queue: str) -> int:
        return int(self.channel.queue_declare(queue, passive=True).message_count)

    def first(self, queue: str) -> Any:
        return self.channel.basic_get(queue, no_ack=True)

    def close(self) -> None:
        self._connection.close()


class RedisLists:
    """A producer that pushes bytes, and a look into lists."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url
        self.client = redis.Redis(unix_socket_path=str(server.socket_path))

    def send(self, queue: str, *bodies: str) -> None:
        self.client.lpush(queue, *bodies)

    def size(self, queue: str) -> int:
        return int(self.client.llen(queue))

    def close(self) -> None:
        self.client.close()


Producer = Rabbit | RedisLists


@pytest.fixture
def rabbit(rabbitmq_server: RabbitmqServer) -> Iterator[Rabbit]:
    producer = Rabbit(rabbitmq_server)
    yield producer
    producer.close()


@pytest.fixture
def lists(redis_server: RedisServer) -> Iterator[RedisLists]:
    producer = RedisLists(redis_server)
    yield producer
    producer.close()


@pytest.fixture(params=["rabbit", "lists"])
def producer(request: pytest.FixtureRequest) -> Producer:
    chosen: Producer = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def queue() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def serving(settings: QueueSettings, invoke: Invoke) -> AsyncIterator[list[str]]:
    """A consumer at work; gives the list of what it reports."""
    source = await open_source(settings, "reader")
    reports: list[str] = []

    def event(messages: Sequence[QueueMessage]) -> object:
        return queue_event(messages, settings.queue, "test")

    consumer = QueueConsumer(source, settings, event, invoke, reports.append)
    task = asyncio.create_task(consumer.run())
    try:
        yield reports
    finally:
        task.cancel()
        await asyncio.wait({task})
        await source.close()


async def test_messages_run_in_batches_and_leave_the_queue(producer: Producer, queue: str) -> None:
    function = Function()
    settings = QueueSettings(url=producer.url, queue=queue, batch_size=4, batching_window_seconds=0.2)
    async with serving(settings, function):
        producer.send(queue, *map(str, range(8)))
        await until(lambda: len(function.bodies) == 8)
    assert sorted(function.bodies) == sorted(map(str, range(8)))
    assert max(map(len, function.batches)) == 4
    assert producer.size(queue) == 0


async def test_a_poison_message_is_dead_lettered_and_blocks_nobody(producer: Producer, queue: str) -> None:
    function = Function(lambda bodies: ValueError("poison") if "bad" in bodies else None)
    settings = QueueSettings(
        url=producer.url, queue=queue, batch_size=2, max_receives=3, retry_delay_seconds=0.05
    )
    async with serving(settings, function):
        producer.send(queue, "bad", *map(str, range(9)))
        await until(lambda: producer.size(f"{queue}.dead-letter") == 1)
        await until(lambda: {str(n) for n in range(9)} <= set(function.bodies))
    assert function.bodies.count("bad") == 3
    assert producer.size(queue) == 0


async def test_what_can_never_run_is_dead_lettered_and_the_others_run(
    producer: Producer, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.queues.runs.MOST_PAYLOAD_BYTES", 5000)
    function = Function()
    settings = QueueSettings(url=producer.url, queue=queue, batch_size=3, batching_window_seconds=5)
    async with serving(settings, function):
        producer.send(queue, "a", "x" * 6000, "b")
        await until(lambda: producer.size(f"{queue}.dead-letter") == 1)
        producer.send(queue, "c", "d", "e")  # the connection has survived
        await until(lambda: len(function.bodies) == 5)
    assert sorted(function.bodies) == ["a", "b", "c", "d", "e"]
    assert producer.size(queue) == 0


async def test_only_what_a_partial_result_names_comes_again(producer: Producer, queue: str) -> None:
    function = Function()

    async def fail_the_second_once(payload: bytes, trace: Trace) -> Reply:
        await function(payload, trace)
        failed = [m["itemIdentifier"] for m in function.batches[-1] if m["body"] == "b"]
        named = [{"itemIdentifier": identifier} for identifier in failed if len(function.batches) == 1]
        return Reply("id", json.dumps({"batchItemFailures": named}).encode())

    settings = QueueSettings(
        url=producer.url,
        queue=queue,
        batch_size=3,
        batching_window_seconds=5,
        retry_delay_seconds=0.05,
        report_batch_item_failures=True,
    )
    async with serving(settings, fail_the_second_once):
        producer.send(queue, "a", "b", "c")
        await until(lambda: len(function.batches) == 2)
    assert sorted(function.bodies) == ["a", "b", "b", "c"]
    assert producer.size(queue) == 0


async def test_what_is_in_hand_when_a_reader_stops_comes_again(producer: Producer, queue: str) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    async def hang(payload: bytes, trace: Trace) -> Reply:
        started.set()
        await never.wait()
        raise AssertionError

    settings = QueueSettings(url=producer.url, queue=queue)
    async with serving(settings, hang):
        producer.send(queue, "once")
        await started.wait()
    await until(lambda: producer.size(queue) == 1)
    function = Function()
    async with serving(settings, function):
        await until(lambda: function.bodies == ["once"])


async def test_a_run_that_ends_soon_after_the_stop_is_not_repeated(producer: Producer, queue: str) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def run(payload: bytes, trace: Trace) -> Reply:
        started.set()
        await may_end.wait()
        return Reply("id", b"null")

    settings = QueueSettings(url=producer.url, queue=queue)
    async with serving(settings, run):
        producer.send(queue, "once")
        await started.wait()
        asyncio.get_running_loop().call_later(0.2, may_end.set)
    assert producer.size(queue) == 0


async def test_a_delayed_message_is_put_back_at_the_stop(producer: Producer, queue: str) -> None:
    function = Function(lambda _: ValueError("not now"))
    settings = QueueSettings(url=producer.url, queue=queue, retry_delay_seconds=60)
    async with serving(settings, function) as reports:
        producer.send(queue, "later")
        await until(lambda: bool(reports))
    await until(lambda: producer.size(queue) == 1)
    source = await open_source(settings, "reader")
    (message,) = await source.receive(1, 5)
    assert message.failures == 1
    await source.close()


async def test_nobody_is_charged_while_the_platform_is_away(producer: Producer, queue: str) -> None:
    answers = [BrokerUnavailable("away"), BrokerUnavailable("away"), None]
    function = Function(lambda _: answers.pop(0))
    settings = QueueSettings(url=producer.url, queue=queue, max_receives=1, retry_delay_seconds=0.01)
    async with serving(settings, function) as reports:
        producer.send(queue, "patient")
        await until(lambda: reports[-1:] == ["OK"])
    assert function.bodies == ["patient"] * 3
    assert producer.size(f"{queue}.dead-letter") == 0


async def test_a_message_starts_its_function_within_fifty_milliseconds(
    producer: Producer, queue: str
) -> None:
    function = Function()
    delays = []
    async with serving(QueueSettings(url=producer.url, queue=queue), function):
        for number in range(21):
            sent_at = time.perf_counter()
            producer.send(queue, str(number))
            await until(lambda number=number: len(function.batches) > number)  # type: ignore[misc]
            delays.append(time.perf_counter() - sent_at)
    assert sorted(delays)[10] < 0.05


async def test_headers_and_properties_of_a_plain_amqp_message_arrive(rabbit: Rabbit, queue: str) -> None:
    function = Function()
    async with serving(QueueSettings(url=rabbit.url, queue=queue), function):
        rabbit.send(
            queue, "x", application_headers={"tenant": "t1"}, content_type="text/plain", message_id="m1"
        )
        await until(lambda: len(function.bodies) == 1)
    message = function.batches[0][0]
    assert message["headers"] == {"tenant": "t1"}
    assert message["properties"]["content_type"] == "text/plain"
    assert message["properties"]["message_id"] == "m1"


async def test_a_run_carries_on_the_trace_of_its_messages(rabbit: Rabbit, queue: str) -> None:
    function = Function()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    settings = QueueSettings(url=rabbit.url, queue=queue, batch_size=2, batching_window_seconds=5)
    async with serving(settings, function):
        rabbit.send(queue, "a", application_headers={"X-Amzn-Trace-Id": "Root=1;Lineage=01234567:3"})
        rabbit.send(
            queue,
            "b",
            application_headers={"x-amzn-trace-id": "Root=2;Lineage=01234567:5", "traceparent": traceparent},
        )
        await until(lambda: len(function.bodies) == 2)
    assert function.traces == [Trace("Root=1;Lineage=01234567:5", traceparent)]


async def test_a_message_in_a_recursive_loop_is_dead_lettered_and_the_others_run(
    rabbit: Rabbit, queue: str
) -> None:
    lineage = "Root=1"
    for _ in range(MOST_RUNS):
        lineage = counted(lineage, "f")
    function = Function()

    async def refuse_loops(payload: bytes, trace: Trace) -> Reply:
        if is_recursive(trace.header, "f"):
            raise RecursiveLoop("f")
        return await function(payload, trace)

    settings = QueueSettings(url=rabbit.url, queue=queue, batch_size=3, batching_window_seconds=5)
    async with serving(settings, refuse_loops):
        rabbit.send(queue, "a", "b")
        rabbit.send(queue, "looping", application_headers={"X-Amzn-Trace-Id": lineage})
        await until(lambda: rabbit.size(f"{queue}.dead-letter") == 1)
        await until(lambda: sorted(function.bodies) == ["a", "b"])
    letter = rabbit.first(f"{queue}.dead-letter")
    assert "recursive loop" in letter.headers["x-lightswitch-reason"]
    assert rabbit.size(queue) == 0


@pytest.mark.parametrize(("kind", "key"), [("topic", "order.#"), ("fanout", ""), ("direct", "order.new.eu")])
async def test_an_exchange_reaches_every_queue_that_is_bound(
    rabbit: Rabbit, queue: str, kind: Any, key: str
) -> None:
    first, second = Function(), Function()
    exchange = f"{queue}-events"
    settings = [
        QueueSettings(url=rabbit.url, queue=name, exchange=exchange, exchange_type=kind, routing_key=key)
        for name in (f"{queue}-1", f"{queue}-2")
    ]
    async with serving(settings[0], first), serving(settings[1], second):
        rabbit.channel.basic_publish_confirm(amqp.Message("hello"), exchange, "order.new.eu")
        await until(lambda: first.bodies == second.bodies == ["hello"])


async def test_a_missing_dead_letter_queue_loses_nothing(rabbit: Rabbit, queue: str) -> None:
    settings = QueueSettings(url=rabbit.url, queue=queue)
    source = await open_source(settings, "reader")
    rabbit.send(queue, "bad")
    (message,) = await source.receive(1, 5)
    rabbit.channel.queue_delete(settings.dead_letters)
    with pytest.raises(NotPlaced, match="there is no queue"):
        await source.dead_letter(message, "poison")
    rabbit.channel.queue_declare(settings.dead_letters, durable=True, auto_delete=False)
    await source.dead_letter(message, "poison")
    await source.close()
    letter = rabbit.first(settings.dead_letters)
    assert letter.body == "bad" or letter.body == b"bad"
    assert letter.headers["x-lightswitch-reason"] == "poison"
    assert rabbit.size(queue) == 0


async def test_a_full_dead_letter_queue_loses_nothing(rabbit: Rabbit, queue: str) -> None:
    full = f"{queue}-full"
    rabbit.channel.queue_declare(
        full,
        durable=True,
        auto_delete=False,
        arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
    )
    rabbit.send(full, "stopper")
    source = await open_source(QueueSettings(url=rabbit.url, queue=queue, dead_letter_queue=full), "reader")
    rabbit.send(queue, "bad")
    (message,) = await source.receive(1, 5)
    with pytest.raises(NotPlaced, match="takes no more messages"):
        await source.dead_letter(message, "poison")
    await source.close()
    assert rabbit.size(queue) == 1


async def test_a_message_that_is_put_back_comes_again_at_once(rabbit: Rabbit, queue: str) -> None:
    source = await open_source(QueueSettings(url=rabbit.url, queue=queue), "reader")
    rabbit.send(queue, "again")
    for failures in range(20):
        (message,) = await source.receive(1, 2)
        assert message.failures == failures
        await source.retry(message)
    await source.close()


async def test_quorum_queues_are_read(rabbit: Rabbit, queue: str) -> None:
    rabbit.channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    function = Function()
    async with serving(QueueSettings(url=rabbit.url, queue=queue, prefetch=5), function):
        rabbit.send(queue, "a", "b")
        await until(lambda: sorted(function.bodies) == ["a", "b"])


async def test_a_deleted_queue_ends_the_source_with_the_reason(rabbit: Rabbit, queue: str) -> None:
    source = await open_source(QueueSettings(url=rabbit.url, queue=queue), "reader")
    rabbit.channel.queue_delete(queue)
    with pytest.raises(SourceUnavailable, match="was it deleted"):
        await source.receive(1, 10)
    await source.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    settings = QueueSettings(url="amqp://user:hunter2@127.0.0.1:1//", queue="q")
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1") as caught:
        await open_source(settings, "reader")
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_not_shown(rabbitmq_server: RabbitmqServer) -> None:
    url = f"amqp://guest:hunter2@127.0.0.1:{rabbitmq_server.port}//"
    with pytest.raises(SourceUnavailable, match="ACCESS_REFUSED") as caught:
        await open_source(QueueSettings(url=url, queue="q"), "reader")
    assert "hunter2" not in str(caught.value)


async def test_a_crashed_rabbitmq_is_noticed_and_its_messages_come_again(
    rabbitmq_script: Path, tmp_path: Path, queue: str
) -> None:
    server = RabbitmqServer(rabbitmq_script, tmp_path / "rabbitmq")
    try:
        server.start()
        settings = QueueSettings(url=server.url, queue=queue)
        source = await open_source(settings, "reader")
        producer = Rabbit(server)
        producer.send(queue, "kept", delivery_mode=2)
        (message,) = await source.receive(1, 5)
        producer.close()
        server.stop_node()
        with pytest.raises(SourceUnavailable):
            await source.receive(1, 30)
        with pytest.raises(SourceUnavailable):
            await source.ack([message])
        await source.close()
        await asyncio.to_thread(server.start)
        again = await open_source(settings, "reader")
        (message,) = await again.receive(1, 10)
        assert message.body == b"kept"
        assert message.redelivered
        await again.close()
    finally:
        server.close()


async def test_kombu_envelopes_on_redis_are_opened(lists: RedisLists, queue: str) -> None:
    function = Function()
    url = lists.url.replace("unix://", "redis+socket://")
    async with serving(QueueSettings(url=lists.url, queue=queue), function):
        connection = Connection(url)
        with connection, connection.Producer() as producer:
            producer.publish({"n": 1}, routing_key=queue, headers={"h": "v"})
        await until(lambda: len(function.bodies) == 1)
    message = function.batches[0][0]
    assert json.loads(message["body"]) == {"n": 1}
    assert message["headers"]["h"] == "v"


async def test_an_entry_that_only_looks_like_an_envelope_blocks_nobody(lists: RedisLists, queue: str) -> None:
    function = Function()
    properties = {"delivery_tag": "1", "body_encoding": "base64"}
    bad = json.dumps({"body": "é", "headers": {}, "properties": properties}, ensure_ascii=False)
    async with serving(QueueSettings(url=lists.url, queue=queue), function):
        lists.send(queue, bad, "good")
        await until(lambda: len(function.bodies) == 2)
    assert sorted(function.bodies) == sorted([bad, "good"])


async def test_a_reader_that_fails_says_so_without_the_password(
    lists: RedisLists, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(entry: bytes) -> None:
        raise ZeroDivisionError("unheard of")

    monkeypatch.setattr("triggers.queues.redis_source.opened", fail)
    url = lists.url.replace("unix://", "unix://default:hunter2@")
    source = await open_source(QueueSettings(url=url, queue=queue), "reader")
    lists.send(queue, "kept")
    with pytest.raises(SourceUnavailable, match=r"\*\*\*\*@.*unheard of") as caught:
        await source.receive(1, 10)
    await source.close()
    assert lists.size(queue) == 1
    assert "queue_reader_failed" in caplog.text
    assert "hunter2" not in f"{caught.value}{caplog.text}"


async def test_equal_entries_of_a_redis_list_do_not_add_up_their_failures(
    lists: RedisLists, queue: str
) -> None:
    lists.send(queue, *["same"] * 3)
    settings = QueueSettings(url=lists.url, queue=queue)
    failures: list[int] = []
    for _ in range(3):  # by another reader each time, so that what is stored counts, too
        source = await open_source(settings, "reader")
        for _ in range(2):
            messages: list[QueueMessage] = []
            while len(messages) < 3:
                messages += await source.receive(3 - len(messages), 10)
            failures += [message.failures for message in messages]
            for message in messages:
                await source.retry(message)
        await source.close()
    assert failures == [count for count in range(6) for _ in range(3)]


async def test_batches_fill_from_a_redis_list_however_large_they_are(lists: RedisLists, queue: str) -> None:
    function = Function()
    settings = QueueSettings(url=lists.url, queue=queue, batch_size=100, batching_window_seconds=300)
    lists.send(queue, *map(str, range(400)))
    async with serving(settings, function):
        await until(lambda: len(function.bodies) == 400)
    assert [len(batch) for batch in function.batches] == [100] * 4
    assert lists.size(queue) == 0


async def test_a_window_of_one_batch_fills_it_at_once(lists: RedisLists, queue: str) -> None:
    function = Function()
    settings = QueueSettings(
        url=lists.url, queue=queue, batch_size=10, prefetch=10, batching_window_seconds=300
    )
    async with serving(settings, function):
        for number in range(20):
            lists.send(queue, str(number))
            await until(lambda: lists.size(queue) == 0)  # one at a time is read, the tenth, too
        await until(lambda: len(function.bodies) == 20)
    assert [len(batch) for batch in function.batches] == [10, 10]


async def test_a_crashed_redis_is_noticed_and_its_messages_come_again(
    start_redis: StartRedis, queue: str
) -> None:
    server = start_redis("always")
    producer = RedisLists(server)
    settings = QueueSettings(url=server.url, queue=queue)
    producer.send(queue, "kept")
    source = await open_source(settings, "reader")
    (message,) = await source.receive(1, 5)
    server.kill()
    with pytest.raises(SourceUnavailable):
        await source.ack([message])
    await source.close()
    server.start()
    again = await open_source(settings, "reader")
    assert [message.body for message in await again.receive(1, 5)] == [b"kept"]
    await again.close()
    producer.close()
