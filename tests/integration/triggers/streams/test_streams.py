"""Mappings of a table's stream, against a real server of the DynamoDB and DynamoDB Streams APIs."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import msgspec
import pytest
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from broker.destination_senders import DestinationSenders
from broker.errors import BrokerUnavailable
from broker.invocation import now_ms
from broker.settings import Settings
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from tests.door import Door
from tests.dynamodb_local import DynamoDBLocal
from tests.integration.triggers.streams.functions import Function, ids
from tests.s3_server import S3Server
from tests.waiting import until, until_async
from tests.web_server import running
from triggers.aws_calls.client import Clients
from triggers.event_source_mapping.settings import MappingSettings
from triggers.event_source_mapping.streams.reader import read_stream
from triggers.interface import LeaseGone, RunningTrigger

OWNER = "this-process"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    # It keeps the keys of whichever test came first, and each key has tables of its own in DynamoDB Local.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


class Table:
    """A table with a stream, and what is done to it."""

    def __init__(self, url: str) -> None:
        self._client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1")
        self.name = f"table-{uuid.uuid4().hex[:8]}"
        made = self._client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.stream_arn: str = made["TableDescription"]["LatestStreamArn"]

    def put(self, *item_ids: str, **attributes: Any) -> None:
        for item_id in item_ids:
            self._client.put_item(TableName=self.name, Item={"id": {"S": item_id}, **attributes})

    def drop(self) -> None:
        self._client.delete_table(TableName=self.name)

    def delete(self, item_id: str) -> None:
        self._client.delete_item(TableName=self.name, Key={"id": {"S": item_id}})


class Mappings:
    """Serves mappings in this process, on a store that outlives each."""

    def __init__(self, url: str) -> None:
        self.store = MemoryTriggerStore()
        self.reports: list[str] = []
        self.settings = Settings(
            "unix:///nowhere", Path("/nowhere"), "file:///nowhere", endpoint_urls={"AWS_ENDPOINT_URL": url}
        )
        self._clients = Clients(self.settings.endpoint_urls)
        self._senders = DestinationSenders(self.settings)
        self._tasks: list[asyncio.Task[None]] = []

    async def make(self, table: Table, **parameters: Any) -> TriggerRecord:
        """Store a mapping and hold its lease."""
        settings = MappingSettings(
            event_source_arn=table.stream_arn,
            **{"starting_position": "TRIM_HORIZON", **parameters},
        )
        body = msgspec.Raw(msgspec.json.encode(settings))
        record = TriggerRecord(str(uuid.uuid4()), "event_source_mapping", "hello", body, created_ms=now_ms())
        stored = await self.store.create(record)
        await self.store.claim(OWNER, [stored.id], 600_000, 1)
        return stored

    def serve(self, record: TriggerRecord, function: Function) -> asyncio.Task[None]:
        """Read the mapping's stream until the task is cancelled."""
        running = RunningTrigger(
            record,
            OWNER,
            cast(Any, function),
            cast(Any, None),
            self.store,
            self.settings,
            self.reports.append,
        )
        settings = msgspec.json.decode(record.settings, type=MappingSettings)
        task = asyncio.create_task(read_stream(running, settings, self._clients, self._senders))
        self._tasks.append(task)
        return task

    async def start(self, table: Table, function: Function, **parameters: Any) -> TriggerRecord:
        record = await self.make(table, **parameters)
        self.serve(record, function)
        return record

    @property
    def last_report(self) -> str:
        """Empty before the first."""
        return self.reports[-1] if self.reports else ""

    async def finished(self, record: TriggerRecord) -> bool:
        """Whether a shard has been read to its end."""
        kept = await self.store.checkpoints(record.id)
        return any(json.loads(value).get("finished") for name, value in kept.items() if name != "start")

    async def close(self) -> None:
        for task in self._tasks:
            await stop(task)
        self._clients.close()
        await self._senders.close()


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def mappings(s3_server: S3Server) -> AsyncIterator[Mappings]:
    made = Mappings(s3_server.url)
    yield made
    await made.close()


@pytest.fixture
def table(s3_server: S3Server) -> Table:
    return Table(s3_server.url)


async def test_a_function_gets_the_changes_of_a_table_in_awss_shape(mappings: Mappings, table: Table) -> None:
    function = Function()
    table.put("a", count={"N": "1"}, raw={"B": b"\x00\xff"})
    table.put("a", count={"N": "2"})
    table.delete("a")

    await mappings.start(table, function)
    await until(lambda: len(function.items) == 3)

    insert, modify, remove = [record for event in function.events for record in event["Records"]]
    assert [insert["eventName"], modify["eventName"], remove["eventName"]] == ["INSERT", "MODIFY", "REMOVE"]
    assert insert["eventSource"] == "aws:dynamodb"
    assert insert["eventSourceARN"] == table.stream_arn
    assert insert["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "count": {"N": "1"}, "raw": {"B": "AP8="}}
    assert modify["dynamodb"]["OldImage"] == insert["dynamodb"]["NewImage"]
    assert "NewImage" not in remove["dynamodb"]
    assert abs(insert["dynamodb"]["ApproximateCreationDateTime"] - time.time()) < 60
    await until(lambda: mappings.last_report == "No records processed")
    assert "OK" in mappings.reports


async def test_latest_means_what_comes_after_the_mapping(mappings: Mappings, table: Table) -> None:
    function = Function()
    table.put("old")
    await mappings.start(table, function, starting_position="LATEST")
    await until(lambda: "No records processed" in mappings.reports)

    table.put("new")
    await until(lambda: function.items == ["new"])


async def test_a_restart_goes_on_behind_the_last_checkpoint(mappings: Mappings, table: Table) -> None:
    function = Function()
    record = await mappings.make(table)
    table.put("a", "b")
    first = mappings.serve(record, function)
    await until(lambda: function.items == ["a", "b"])
    await stop(first)

    table.put("c")
    mappings.serve(record, function)
    await until(lambda: function.items == ["a", "b", "c"])


async def test_a_restart_before_the_first_record_still_means_latest(mappings: Mappings, table: Table) -> None:
    function = Function()
    record = await mappings.make(table, starting_position="LATEST")
    first = mappings.serve(record, function)
    await until(lambda: "No records processed" in mappings.reports)
    await stop(first)
    table.put("while away")

    mappings.serve(record, function)
    await until(lambda: function.items == ["while away"])


async def test_a_process_that_lost_the_lease_moves_no_checkpoint(mappings: Mappings, table: Table) -> None:
    function = Function()
    record = await mappings.make(table)
    task = mappings.serve(record, function)
    await until(lambda: "No records processed" in mappings.reports)
    await mappings.store.release(OWNER, [record.id])
    await mappings.store.claim("another", [record.id], 60_000, 1)
    before = await mappings.store.checkpoints(record.id)

    table.put("a")

    with pytest.raises(LeaseGone):
        await task
    assert await mappings.store.checkpoints(record.id) == before


async def test_a_run_under_way_is_settled_when_its_mapping_stops(mappings: Mappings, table: Table) -> None:
    function = Function()
    function.seconds = 0.2
    table.put("a", "b")
    record = await mappings.make(table)
    task = mappings.serve(record, function)
    await until(lambda: len(function.events) == 1)
    async with asyncio.timeout(5):
        await stop(task)
    assert task.cancelled()

    table.put("c")
    mappings.serve(record, function)
    await until(lambda: function.batches == [["a", "b"], ["c"]])


async def test_batches_have_at_most_the_size_that_was_asked_for(mappings: Mappings, table: Table) -> None:
    function = Function()
    table.put(*[str(number) for number in range(10)])
    await mappings.start(table, function, batch_size=4)
    await until(lambda: len(function.items) == 10)

    assert [len(batch) for batch in function.batches] == [4, 4, 2]


async def test_a_batching_window_gathers_what_comes_within_it(mappings: Mappings, table: Table) -> None:
    function = Function()
    await mappings.start(table, function, maximum_batching_window_seconds=1)
    table.put("a")
    await asyncio.sleep(0.4)  # the second change comes well inside the window
    table.put("b")
    await until(lambda: len(function.items) == 2)

    assert function.batches == [["a", "b"]]


async def test_filters_keep_records_from_the_function(mappings: Mappings, table: Table) -> None:
    function = Function()
    pattern = json.dumps({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["car"]}}}})
    table.put("a", kind={"S": "car"})
    table.put("b", kind={"S": "bike"})
    table.put("c", kind={"S": "car"})
    table.delete("a")

    record = await mappings.start(table, function, filters=(pattern,))
    await until(lambda: function.items == ["a", "c"])
    await until(lambda: mappings.last_report == "No records processed")
    (checkpoint,) = [
        json.loads(value)
        for name, value in (await mappings.store.checkpoints(record.id)).items()
        if name != "start"
    ]
    assert int(checkpoint["after"]) % 10 == (1100000000017454423009 + 3) % 10


async def test_parallel_lanes_keep_the_order_of_each_item(mappings: Mappings, table: Table) -> None:
    function = Function()
    for number in range(4):
        table.put(*"abcdefgh", number={"N": str(number)})
    await mappings.start(table, function, parallelization_factor=4, batch_size=2)
    await until(lambda: len(function.items) == 32)

    seen: dict[str, list[str]] = defaultdict(list)
    for event in function.events:
        for record in event["Records"]:
            image = record["dynamodb"]["NewImage"]
            seen[image["id"]["S"]].append(image["number"]["N"])
    assert set(map(tuple, seen.values())) == {("0", "1", "2", "3")}


def poison(event: dict[str, Any]) -> None:
    if "poison" in ids(event):
        raise ValueError("cannot digest this")


@pytest.fixture
def queue(s3_server: S3Server) -> tuple[str, Any]:
    """ARN of a fresh queue, and how to read its one message."""
    client = boto3.client("sqs", endpoint_url=s3_server.url, region_name="us-east-1")
    name = f"queue-{uuid.uuid4().hex[:8]}"
    url = client.create_queue(QueueName=name)["QueueUrl"]

    def read() -> dict[str, Any]:
        (message,) = client.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        document: dict[str, Any] = json.loads(message["Body"])
        return document

    return f"arn:aws:sqs:us-east-1:123456789012:{name}", read


async def test_bisecting_isolates_a_poison_record_and_tells_the_queue(
    mappings: Mappings, table: Table, queue: tuple[str, Any]
) -> None:
    arn, read = queue
    function = Function(poison)
    table.put("a", "b", "poison", "c", "d")
    await mappings.start(
        table, function, bisect_batch_on_function_error=True, maximum_retry_attempts=0, on_failure=arn
    )
    await until(
        lambda: (
            {"a", "b", "c", "d"} <= {id_ for batch in function.batches for id_ in batch[:1]}
            or len(function.batches) > 4
        )
    )
    document = await asyncio.to_thread(read)

    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["responseContext"]["functionError"] == "Unhandled"
    assert document["DDBStreamBatchInfo"]["batchSize"] == 1
    assert document["DDBStreamBatchInfo"]["streamArn"] == table.stream_arn
    await until(lambda: function.items[-1:] == ["d"] and "poison" not in function.batches[-1])
    delivered = [id_ for batch in function.batches if "poison" not in batch for id_ in batch]
    assert delivered == ["a", "b", "c", "d"]


async def test_a_poison_batch_does_not_block_its_shard_for_ever(mappings: Mappings, table: Table) -> None:
    function = Function(poison)
    table.put("poison")
    await mappings.start(table, function, maximum_retry_attempts=1)
    await until(lambda: function.batches == [["poison"], ["poison"]])
    table.put("after")
    await until(lambda: function.items[-1:] == ["after"])


async def test_reported_failures_are_retried_from_the_first_on(mappings: Mappings, table: Table) -> None:
    function = Function()

    def fail_c_once(event: dict[str, Any]) -> dict[str, Any]:
        if len(function.events) > 1:
            return {"batchItemFailures": []}
        bad = next(r for r in event["Records"] if r["dynamodb"]["Keys"]["id"]["S"] == "c")
        return {"batchItemFailures": [{"itemIdentifier": bad["dynamodb"]["SequenceNumber"]}]}

    function.handler = fail_c_once
    table.put("a", "b", "c", "d")
    await mappings.start(table, function, report_batch_item_failures=True)
    await until(lambda: len(function.events) == 2)

    assert function.batches == [["a", "b", "c", "d"], ["c", "d"]]


async def test_powertools_batch_utility_says_where_to_go_on(mappings: Mappings, table: Table) -> None:
    failing = {"b"}

    def handle(record: DynamoDBRecord) -> None:
        assert record.dynamodb is not None
        item = record.dynamodb.new_image["id"]
        if item in failing:
            failing.discard(item)
            raise ValueError("not this time")

    def handler(event: dict[str, Any]) -> Any:
        processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
        return process_partial_response(event, handle, processor)

    function = Function(handler)
    table.put("a", "b", "c")
    await mappings.start(table, function, report_batch_item_failures=True)
    await until(lambda: len(function.events) == 2)
    await until(lambda: mappings.last_report == "No records processed")
    assert function.batches == [["a", "b", "c"], ["b", "c"]]


async def test_what_the_platform_cannot_run_costs_no_retry(mappings: Mappings, table: Table) -> None:
    function = Function()

    def away_twice(event: dict[str, Any]) -> None:
        if len(function.events) < 3:
            raise BrokerUnavailable("the broker is away")

    function.handler = away_twice
    table.put("a")
    await mappings.start(table, function, maximum_retry_attempts=0)
    await until(lambda: len(function.events) == 3)
    await until(lambda: mappings.last_report == "No records processed")
    assert "PROBLEM: the broker is away" in mappings.reports


async def test_a_bucket_gets_the_event_beside_the_document(
    mappings: Mappings, table: Table, s3_server: S3Server
) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(bucket)
    client = boto3.client("s3", endpoint_url=s3_server.url, region_name="us-east-1")
    function = Function(poison)
    table.put("poison")
    record = await mappings.start(
        table, function, maximum_retry_attempts=0, on_failure=f"arn:aws:s3:::{bucket}"
    )
    await until(lambda: client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1)

    key = client.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]
    document = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert key.startswith(f"aws/lambda/{record.id}/shardId-")
    assert ids(json.loads(document["payload"])) == ["poison"]


async def test_a_topic_gets_the_document(
    mappings: Mappings, table: Table, queue: tuple[str, Any], s3_server: S3Server
) -> None:
    queue_arn, read = queue
    topics = boto3.client("sns", endpoint_url=s3_server.url, region_name="us-east-1")
    topic = topics.create_topic(Name=table.name)["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes=raw)
    table.put("poison")
    await mappings.start(table, Function(poison), maximum_retry_attempts=0, on_failure=topic)
    document = await asyncio.to_thread(read)
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["DDBStreamBatchInfo"]["streamArn"] == table.stream_arn
    assert "payload" not in document


async def test_what_is_too_old_is_given_up_unrun_and_told(
    mappings: Mappings, table: Table, queue: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arn, read = queue
    function = Function()
    later = SimpleNamespace(time=lambda: time.time() + 100)
    table.put("old", "older")
    with monkeypatch.context() as patches:
        patches.setattr("triggers.event_source_mapping.streams.handling.time", later)
        await mappings.start(table, function, maximum_record_age_seconds=60, on_failure=arn)
        document = await asyncio.to_thread(read)
    assert document["requestContext"]["condition"] == "RecordAgeExceeded"
    assert document["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in document
    assert document["DDBStreamBatchInfo"]["batchSize"] == 2
    table.put("new")
    await until(lambda: function.items == ["new"])


async def test_another_function_may_be_told(mappings: Mappings, table: Table) -> None:
    function = Function(poison)
    table.put("poison")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:cleaner:live"
    await mappings.start(table, function, maximum_retry_attempts=0, on_failure=arn)
    await until(lambda: len(function.sent) == 1)

    ((target, document),) = function.sent
    assert (target.function_name, target.qualifier) == ("cleaner", "live")
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"


async def test_a_tumbling_window_carries_its_state_to_a_last_run(mappings: Mappings, table: Table) -> None:
    function = Function()

    def count(event: dict[str, Any]) -> dict[str, Any]:
        return {"state": {"n": event["state"].get("n", 0) + len(event["Records"])}}

    function.handler = count
    await mappings.start(table, function, tumbling_window_seconds=2, batch_size=1)
    table.put("a", "b", "c")
    await until(lambda: sum(event["isFinalInvokeForWindow"] for event in function.events) >= 1, 20)

    final = [event for event in function.events if event["isFinalInvokeForWindow"]]
    await until(lambda: sum(e["state"]["n"] for e in function.events if e["isFinalInvokeForWindow"]) == 3, 20)
    assert final[0]["Records"] == []
    assert final[0]["shardId"].startswith("shardId-")
    assert set(final[0]["window"]) == {"start", "end"}


async def test_a_source_that_is_away_is_named_and_waited_for(s3_server: S3Server, table: Table) -> None:
    door = Door(s3_server.port)
    mappings = Mappings(door.url)
    function = Function()
    table.put("a")
    await mappings.start(table, function)
    await until(lambda: "PROBLEM: " in "".join(mappings.reports), 30)
    await door.open()
    await until(lambda: function.items == ["a"], 30)

    await door.shut()
    await until(lambda: mappings.last_report.startswith("PROBLEM: "), 30)
    table.put("b")
    await door.open()
    await until(lambda: function.items == ["a", "b"], 30)
    await until(lambda: mappings.last_report == "No records processed", 30)
    await mappings.close()
    await door.shut()


async def test_an_idle_shard_is_asked_a_few_times_a_second(s3_server: S3Server, table: Table) -> None:
    function = Function()
    mappings = Mappings(s3_server.url)
    await mappings.start(table, function)
    await until(lambda: "No records processed" in mappings.reports)
    began = time.process_time()
    await asyncio.sleep(2)  # what is measured is that nothing happens
    assert time.process_time() - began < 0.2
    await mappings.close()


async def test_a_record_reaches_the_function_soon_after_it_was_written(
    mappings: Mappings, table: Table
) -> None:
    arrived: list[float] = []
    function = Function(lambda event: arrived.append(time.monotonic()))
    await mappings.start(table, function)
    waits = []
    for number in range(9):
        await asyncio.sleep(0.1 + number * 0.03)  # at different moments between two polls
        await asyncio.to_thread(table.put, str(number))
        written = time.monotonic()
        await until(lambda: len(arrived) > number)  # noqa: B023
        waits.append(arrived[-1] - written)
    assert sorted(waits)[4] <= 0.3


@pytest.fixture(scope="session")
def dynamodb_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBLocal]:
    with running(DynamoDBLocal(tmp_path_factory.mktemp("dynamodb-local"))) as server:
        yield server


async def test_dynamodb_local_is_read_to_the_end_of_its_shards(dynamodb_local: DynamoDBLocal) -> None:
    table = Table(dynamodb_local.url)
    mappings = Mappings(dynamodb_local.url)
    function = Function()
    table.put("a", "b", raw={"B": b"\x00\xff"})
    record = await mappings.start(table, function)
    await until(lambda: function.items == ["a", "b"])
    table.put("c")
    await until(lambda: function.items == ["a", "b", "c"])
    assert function.events[0]["Records"][0]["dynamodb"]["NewImage"]["raw"] == {"B": "AP8="}
    assert function.events[0]["Records"][0]["eventSourceARN"] == table.stream_arn

    table.drop()  # which closes its shards
    await until_async(lambda: mappings.finished(record))
    await mappings.close()


async def test_dynamodb_local_is_read_on_behind_a_checkpoint(dynamodb_local: DynamoDBLocal) -> None:
    table = Table(dynamodb_local.url)
    mappings = Mappings(dynamodb_local.url)
    function = Function()
    record = await mappings.make(table, starting_position="LATEST")
    table.put("old")
    await asyncio.sleep(1.1)  # the stream dates its records to the second
    task = mappings.serve(record, function)
    await until(lambda: "No records processed" in mappings.reports)
    table.put("a")
    await until(lambda: function.items == ["a"])
    await stop(task)
    table.put("b")
    mappings.serve(record, function)
    await until(lambda: function.items == ["a", "b"])
    await mappings.close()
