"""Queue triggers on a real Kafka broker: order, commits, failures, and the broker's absence."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.caller import Trace
from broker.errors import BrokerUnavailable
from broker.invocation import Reply
from broker.settings import Settings
from tests.kafka_server import KafkaServer
from tests.waiting import until
from tests.web_server import Unavailable, running
from triggers.queues.runs import Invoke
from triggers.queues.serving import serve_queue
from triggers.queues.settings import QueueSettings

GROUP = "lightswitch-reader"

Result = Callable[[list[str]], bytes | Exception | None]
"""What the function makes of a batch's values: None succeeds, bytes are its result, errors are raised."""


class Function:
    """Stands where a deployed function would; records what it is given."""

    def __init__(self, result: Result = lambda _: None) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.events: list[dict[str, Any]] = []
        self.traces: list[Trace] = []
        self._result = result

    @property
    def values(self) -> list[str]:
        return [text(record) for batch in self.batches for record in batch]

    async def __call__(self, payload: bytes, trace: Trace) -> Reply:
        event = json.loads(payload)
        ((_, records),) = event["records"].items()
        self.events.append(event)
        self.batches.append(records)
        self.traces.append(trace)
        result = self._result([text(record) for record in records])
        if isinstance(result, BrokerUnavailable):
            raise result
        if isinstance(result, Exception):
            return Reply("id", json.dumps({"errorMessage": str(result)}).encode(), "Unhandled")
        return Reply("id", result or b"null")


def text(record: dict[str, Any]) -> str:
    return base64.b64decode(record["value"] or "").decode(errors="replace")


@pytest.fixture
def topic(kafka_server: KafkaServer) -> str:
    name = f"orders-{uuid.uuid4().hex[:8]}"
    kafka_server.make_topic(name)
    return name


def settings(server: KafkaServer, topic: str, **members: Any) -> QueueSettings:
    return QueueSettings(**{"url": server.url, "queue": topic, "retry_delay_seconds": 0.05, **members})


@asynccontextmanager
async def serving(
    chosen: QueueSettings, invoke: Invoke, trigger_id: str = "reader"
) -> AsyncIterator[list[str]]:
    """A trigger in service; gives the list of what it reports."""
    reports: list[str] = []
    installation = Settings("unix:///nowhere", Path("/nowhere"), "")
    task = asyncio.create_task(serve_queue(chosen, trigger_id, installation, invoke, reports.append))
    try:
        yield reports
    finally:
        task.cancel()
        await asyncio.wait({task})


def group_of(topic: str) -> str:
    """Topics of tests are each read by a trigger of their own name."""
    return f"lightswitch-{topic}"


async def test_records_run_in_order_and_are_committed(kafka_server: KafkaServer, topic: str) -> None:
    function = Function()
    kafka_server.send(topic, *map(str, range(100)))
    async with serving(settings(kafka_server, topic, batch_size=7), function, topic):
        await until(lambda: len(function.values) == 100, 20)
    assert function.values == list(map(str, range(100)))
    assert max(map(len, function.batches)) == 7
    assert kafka_server.committed(group_of(topic), topic) == 100


async def test_an_event_has_all_that_the_record_has(kafka_server: KafkaServer, topic: str) -> None:
    function = Function()
    headers = [("tenant", b"\x00\xff"), ("tenant", "again"), ("x-amzn-trace-id", "Root=1;Lineage=01234567:3")]
    kafka_server.send(topic, b"\xffbytes", key=b"k\xfe", headers=headers)
    kafka_server.send(topic, None, key="gone")
    async with serving(settings(kafka_server, topic, batch_size=2, batching_window_seconds=1), function):
        await until(lambda: len(function.values) == 2, 20)
    (event,) = function.events
    assert event["eventSource"] == "SelfManagedKafka"
    assert event["bootstrapServers"] == kafka_server.servers
    written, tombstone = event["records"][f"{topic}-0"]
    assert base64.b64decode(written["value"]) == b"\xffbytes"
    assert base64.b64decode(written["key"]) == b"k\xfe"
    assert written["headers"][:2] == [{"tenant": [0, 255]}, {"tenant": list(b"again")}]
    assert (written["partition"], written["offset"], written["timestampType"]) == (0, 0, "CREATE_TIME")
    assert (tombstone["value"], base64.b64decode(tombstone["key"])) == (None, b"gone")
    assert function.traces[0].header == "Root=1;Lineage=01234567:3"


async def test_a_poison_record_is_set_aside_and_its_partition_keeps_its_order(
    kafka_server: KafkaServer, topic: str
) -> None:
    function = Function(lambda values: ValueError("poison") if "bad" in values else None)
    kafka_server.send(topic, "a", "bad", "b", headers=[("tenant", "t1")], key="k")
    chosen = settings(kafka_server, topic, batch_size=3, batching_window_seconds=1, max_receives=3)
    async with serving(chosen, function, topic):
        await until(lambda: function.values[-2:] == ["bad", "b"] and len(function.values) > 3, 20)
    assert function.values == ["a", "bad", "b", "a", "bad", "bad", "b"]
    assert kafka_server.committed(group_of(topic), topic) == 3
    (letter,) = kafka_server.records(f"{topic}.dead-letter")
    told = {name: value.decode() for name, value in letter.headers()}
    assert (letter.value(), letter.key(), told["tenant"]) == (b"bad", b"k", "t1")
    assert told["x-lightswitch-failures"] == "3"
    assert "poison" in told["x-lightswitch-reason"]
    assert (told["x-lightswitch-queue"], told["x-lightswitch-offset"]) == (topic, "1")


async def test_other_partitions_pass_one_that_waits(kafka_server: KafkaServer) -> None:
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    kafka_server.make_topic(topic, partitions=2)
    function = Function(lambda values: ValueError("not now") if "0" in values else None)
    kafka_server.send(topic, *["0"] * 200, partition=0)
    kafka_server.send(topic, *map(str, range(1, 101)), partition=1)
    async with serving(settings(kafka_server, topic, retry_delay_seconds=60, prefetch=10), function, topic):
        await until(lambda: kafka_server_has(function, 100), 20)
    assert function.values.count("0") == 1
    assert [value for value in function.values if value != "0"] == list(map(str, range(1, 101)))
    assert kafka_server.committed(group_of(topic), topic, 0) == 0
    assert kafka_server.committed(group_of(topic), topic, 1) == 100


def kafka_server_has(function: Function, count: int) -> bool:
    return len([value for value in function.values if value != "0"]) == count


async def test_a_partition_that_was_held_back_goes_on_with_the_next_record(kafka_server: KafkaServer) -> None:
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    kafka_server.make_topic(topic, partitions=2)  # the other one has room all the time
    function = Function()
    kafka_server.send(topic, *map(str, range(30)), partition=0)
    async with serving(settings(kafka_server, topic, batch_size=5, prefetch=10), function):
        await until(lambda: len(function.values) >= 30, 30)
    assert function.values == list(map(str, range(30)))


async def test_no_more_is_in_hand_than_the_window(kafka_server: KafkaServer, topic: str) -> None:
    function = Function()
    kafka_server.send(topic, *map(str, range(500)))
    async with serving(settings(kafka_server, topic, batch_size=5, prefetch=5), function):
        await until(lambda: len(function.values) >= 500, 30)
    assert function.values == list(map(str, range(500)))


async def test_many_partitions_share_what_may_be_in_hand(
    kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.queues.kafka.topic_reader._MOST_BYTES_IN_ALL", 400)
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    kafka_server.make_topic(topic, partitions=4)
    bodies = [f"{number:050}" for number in range(80)]
    for number, body in enumerate(bodies):
        kafka_server.send(topic, body, partition=number % 4)
    function = Function()
    async with serving(settings(kafka_server, topic), function):
        await until(lambda: len(function.values) >= 80, 30)
    assert sorted(function.values) == bodies
    assert [value for value in function.values if int(value) % 4 == 0] == bodies[::4]


async def test_what_follows_a_reported_failure_comes_again(kafka_server: KafkaServer, topic: str) -> None:
    function = Function()

    async def fail_the_second_once(payload: bytes, trace: Trace) -> Reply:
        await function(payload, trace)
        failed = {"partition": f"{topic}-0", "offset": 1}
        named = [{"itemIdentifier": failed}] if len(function.batches) == 1 else []
        return Reply("id", json.dumps({"batchItemFailures": named}).encode())

    chosen = settings(
        kafka_server, topic, batch_size=3, batching_window_seconds=1, report_batch_item_failures=True
    )
    kafka_server.send(topic, "a", "b", "c")
    async with serving(chosen, fail_the_second_once, topic):
        await until(lambda: len(function.values) >= 5, 20)
    assert function.values == ["a", "b", "c", "b", "c"]
    assert kafka_server.committed(group_of(topic), topic) == 3


async def test_what_can_never_run_is_set_aside_and_the_others_run(
    kafka_server: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.queues.runs.MOST_PAYLOAD_BYTES", 5000)
    function = Function()
    kafka_server.send(topic, "a", "x" * 6000, "b")
    async with serving(settings(kafka_server, topic, batch_size=3, batching_window_seconds=1), function):
        await until(lambda: len(function.values) == 2, 20)
        await until(lambda: len(kafka_server.records(f"{topic}.dead-letter")) == 1, 20)
    assert function.values == ["a", "b"]


async def test_what_runs_when_a_reader_stops_is_committed_or_comes_again(
    kafka_server: KafkaServer, topic: str
) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()
    kafka_server.send(topic, "first", "second")

    async def run(payload: bytes, trace: Trace) -> Reply:
        started.set()
        await may_end.wait()
        return Reply("id", b"null")

    async with serving(settings(kafka_server, topic), run, topic):
        await started.wait()
        asyncio.get_running_loop().call_later(0.2, may_end.set)
    assert kafka_server.committed(group_of(topic), topic) == 1
    function = Function()
    async with serving(settings(kafka_server, topic), function, topic):
        await until(lambda: function.values == ["second"], 20)


async def test_nobody_is_charged_while_the_platform_is_away(kafka_server: KafkaServer, topic: str) -> None:
    answers = [BrokerUnavailable("away"), BrokerUnavailable("away"), None]
    function = Function(lambda _: answers.pop(0))
    kafka_server.send(topic, "patient")
    async with serving(settings(kafka_server, topic, max_receives=1), function) as reports:
        await until(lambda: reports[-1:] == ["OK"], 20)
    assert function.values == ["patient"] * 3


async def test_a_trigger_that_begins_with_the_latest_record_misses_none_after(
    kafka_server: KafkaServer, topic: str
) -> None:
    kafka_server.send(topic, "old")
    chosen = settings(kafka_server, topic, starting_position="LATEST")
    async with serving(chosen, Function(), topic) as reports:
        await until(lambda: any(report.startswith("OK") for report in reports), 20)
    kafka_server.send(topic, "new")  # while nobody reads, and nothing has ever been run
    kafka_server.add_partitions(topic, 2)
    kafka_server.send(topic, "newer", partition=1)
    function = Function()
    async with serving(chosen, function, topic):
        await until(lambda: sorted(function.values) == ["new", "newer"], 20)


async def test_offsets_that_kafka_would_forget_are_committed_again(
    kafka_server: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.queues.kafka.topic_reader._COMMIT_AGAIN_SECONDS", 0.5)
    kafka_server.send(topic, "a")
    async with serving(settings(kafka_server, topic), Function(), topic):
        await until(lambda: kafka_server.committed(group_of(topic), topic) == 1, 20)
        kafka_server.forget(group_of(topic))
        await until(lambda: kafka_server.committed(group_of(topic), topic) == 1, 20)
    function = Function()
    kafka_server.forget(group_of(topic))
    chosen = settings(kafka_server, topic, starting_position="LATEST")
    async with serving(chosen, function, topic):  # nothing is run, and its position kept all the same
        await until(lambda: kafka_server.committed(group_of(topic), topic) == 1, 20)
        kafka_server.forget(group_of(topic))
        await until(lambda: kafka_server.committed(group_of(topic), topic) == 1, 20)
    assert not function.values


async def test_partitions_that_are_added_are_read(
    kafka_server: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.queues.kafka.topic_reader._LOOK_SECONDS", 0.2)
    function = Function()
    async with serving(settings(kafka_server, topic), function):
        kafka_server.send(topic, "a")
        await until(lambda: function.values == ["a"], 20)
        kafka_server.add_partitions(topic, 2)
        kafka_server.send(topic, "b", partition=1)
        await until(lambda: function.values == ["a", "b"], 20)


async def test_a_topic_that_is_not_there_is_named_and_waited_for(kafka_server: KafkaServer) -> None:
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    function = Function()
    async with serving(settings(kafka_server, topic), function) as reports:
        await until(lambda: f"topic {topic}" in "".join(reports), 20)
        kafka_server.make_topic(topic)
        kafka_server.send(topic, "at last")
        await until(lambda: function.values == ["at last"], 20)


async def test_a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(
    kafka_server: KafkaServer, topic: str
) -> None:
    function = Function()
    async with serving(settings(kafka_server, topic), function, topic) as reports:
        kafka_server.send(topic, "a", "b", "c")
        await until(lambda: function.values == ["a", "b", "c"], 20)
        await until(lambda: kafka_server.committed(group_of(topic), topic) == 3, 20)
        kafka_server.delete_topic(topic)
        await until(lambda: "UNKNOWN_TOPIC_OR_PART" in reports[-1], 30)
        kafka_server.make_topic(topic)
        kafka_server.send(topic, *map(str, range(6)))
        await until(lambda: len(function.values) == 9, 30)
    assert function.values[3:] == list(map(str, range(6)))


async def test_a_group_that_others_are_members_of_is_reported(kafka_server: KafkaServer, topic: str) -> None:
    from confluent_kafka import Consumer

    other = Consumer({"bootstrap.servers": kafka_server.servers, "group.id": topic, "log_level": 0})
    assigned: list[Any] = []
    other.subscribe([topic], on_assign=lambda _, places: assigned.extend(places))
    await until(lambda: other.poll(0.1) is None and bool(assigned), 30)
    async with serving(settings(kafka_server, topic, consumer_group=topic), Function()) as reports:
        await until(lambda: "UNKNOWN_MEMBER_ID" in "".join(reports), 20)
    other.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker to kill, not started."""
    server = KafkaServer(tmp_path)
    try:
        server.command()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


async def test_a_broker_that_is_away_is_waited_for_at_start_and_in_the_middle(
    own_server: KafkaServer,
) -> None:
    function = Function()
    async with serving(settings(own_server, "orders"), function, "orders") as reports:
        await until(lambda: "PROBLEM" in "".join(reports), 20)
        await asyncio.to_thread(own_server.start)
        own_server.make_topic("orders")
        own_server.send("orders", "first")
        await until(lambda: function.values == ["first"], 30)
        await until(lambda: own_server.committed(group_of("orders"), "orders") == 1)
        own_server.stop()
        await until(lambda: reports[-1].startswith("PROBLEM"), 30)
        await asyncio.to_thread(own_server.start)
        await until(lambda: reports[-1] == "OK: reading the topic again", 30)
        own_server.send("orders", "second")
        await until(lambda: function.values == ["first", "second"], 30)
    assert own_server.committed(group_of("orders"), "orders") == 2


async def test_a_user_signs_in_and_a_wrong_password_is_reported_and_not_shown(tmp_path: Path) -> None:
    with running(KafkaServer(tmp_path, user="reader", password="hunter2")) as server:
        server.make_topic("orders")
        server.send("orders", "first")
        function = Function()
        url = f"kafka://reader:hunter2@{server.servers}"
        async with serving(settings(server, "orders", url=url), function):
            await until(lambda: function.values == ["first"], 20)
        wrong = url.replace("hunter2", "hunter3")
        async with serving(settings(server, "orders", url=wrong), function) as reports:
            await until(lambda: "_AUTHENTICATION" in "".join(reports), 20)
        assert "hunter" not in "".join(reports)


async def test_properties_that_are_no_good_are_reported_and_secrets_not_shown() -> None:
    pytest.importorskip("confluent_kafka", reason="no client of Kafka: pip install -e '.[kafka]'")
    options = {"security.protocol": "hunter2", "sasl.password": "hunter2"}
    chosen = QueueSettings(url="kafka://127.0.0.1:9", queue="orders", transport_options=options)
    async with serving(chosen, Function()) as reports:
        await until(lambda: "security.protocol" in "".join(reports))
    assert "hunter2" not in "".join(reports)
