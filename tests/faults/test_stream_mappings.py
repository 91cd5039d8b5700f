"""Mappings of a table's stream while the process that reads it, or the table's server, is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.deployment_packages import python_package
from tests.faults.conftest import StartSystem, kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

RECORDER = Path(__file__).parent / "functions" / "stream_recorder.py"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[S3Server]:
    """A server of one's own."""
    server = S3Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def system(tables: S3Server, start_system: StartSystem, monkeypatch: pytest.MonkeyPatch) -> LiveSystem:
    """One worker whose triggers find their tables on that server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", tables.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return start_system("--workers", "1")


class Table:
    """A table with a stream."""

    def __init__(self, url: str) -> None:
        self._client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1")
        made = self._client.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        self.stream_arn: str = made["TableDescription"]["LatestStreamArn"]

    def put(self, *item_ids: str) -> None:
        for item_id in item_ids:
            self._client.put_item(TableName="orders", Item={"id": {"S": item_id}})


@pytest.fixture
def table(tables: S3Server, system: LiveSystem) -> Table:
    return Table(tables.url)


@pytest.fixture
def map_table(system: LiveSystem, table: Table, journal: Journal) -> Callable[..., str]:
    """Deploy the recorder and let the table's stream call it; the mapping's UUID."""

    def create(*, sleep_seconds: float = 0, **parameters: Any) -> str:
        variables = {"JOURNAL": str(journal.path), "SLEEP_SECONDS": str(sleep_seconds)}
        system.deploy("recorder", python_package(RECORDER), Environment={"Variables": variables})
        mapping = system.client.create_event_source_mapping(
            FunctionName="recorder",
            EventSourceArn=table.stream_arn,
            StartingPosition="TRIM_HORIZON",
            **parameters,
        )
        return str(mapping["UUID"])

    return create


def test_records_of_a_killed_reader_come_again_in_order_and_none_is_lost(
    system: LiveSystem,
    table: Table,
    journal: Journal,
    map_table: Callable[..., str],
    report: Callable[..., None],
) -> None:
    written = [f"r{number}" for number in range(24)]
    table.put(*written)
    map_table(sleep_seconds=0.1, BatchSize=4)
    _kill_reader(system, lambda: len(journal.entries("start")) >= 6)
    _kill_reader(system, lambda: len(journal.entries("start")) >= 14)
    eventually(
        "every record to have run", lambda: {e.label for e in journal.entries("end")} == set(written), 40
    )
    ended = [entry.label for entry in journal.entries("end")]
    first = list(dict.fromkeys(ended))
    assert first == written, "a record overtook an earlier one"
    report(records=len(written), runs=len(ended))


def test_a_poison_record_is_given_up_and_the_shard_goes_on(
    system: LiveSystem, tables: S3Server, table: Table, journal: Journal, map_table: Callable[..., str]
) -> None:
    queues = boto3.client("sqs", endpoint_url=tables.url, region_name="us-east-1")
    url = queues.create_queue(QueueName="failed")["QueueUrl"]
    table.put("a", "poison", "b")
    mapping = map_table(
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
    )
    eventually("the record behind it", lambda: journal.entries("end", label="b"), 20)
    assert "poison" not in {entry.label for entry in journal.entries("end")}
    found = queues.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert '"RetryAttemptsExhausted"' in found[0]["Body"]
    halves = [["a"], ["poison"]]  # of the second half nothing runs behind the poison
    assert _runs(journal) == [["a", "poison"], *halves, ["poison"], ["poison"], ["b"]]
    eventually(
        "a mapping in good order",
        lambda: (
            system.client.get_event_source_mapping(UUID=mapping)["LastProcessingResult"]
            == "No records processed"
        ),
        20,
    )


def _kill_reader(system: LiveSystem, under_way: Callable[[], bool]) -> None:
    """Kill the process that reads, and wait for the next one."""
    eventually("runs under way", under_way)
    (reader,) = system.pids("triggers")
    kill(reader)
    eventually("another reader", lambda: system.pids("triggers") not in ([], [reader]))


def _runs(journal: Journal) -> list[list[str]]:
    """Labels of each run, in order."""
    entries = journal.entries("start")
    return [[e.label for e in run] for _, run in groupby(entries, lambda entry: entry.request_id)]
