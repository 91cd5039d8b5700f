"""Queues whose mapping, server or triggers process dies: everything comes again, nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment_packages import package
from tests.faults.conftest import kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.integration.triggers.queue_workbench import QueueServer, serving
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

RECORDER = b"""
import json, os, time

def note(event, request_id, label):
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    os.write(journal, f"{event} {request_id} {os.getpid()} {time.time()} {label}\\n".encode())
    os.close(journal)

def handler(event, context):
    for record in event["Records"]:
        order = json.loads(record["body"])
        note("start", record["messageId"], order["label"])
        time.sleep(order["sleep_seconds"])
        note("end", record["messageId"], order["label"])
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[S3Server]:
    """A server of one's own, not running yet."""
    server = S3Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def system(place: Path, s3_server: S3Server, keys: None) -> Iterator[LiveSystem]:
    variables = {"AWS_ENDPOINT_URL_SQS": s3_server.url}
    with LiveSystem(place / "system", ("--workers", "1"), variables) as running:
        yield running


def test_messages_in_hand_when_the_triggers_process_dies_come_again(
    system: LiveSystem, s3_server: S3Server, journal: Journal, namespace: str
) -> None:
    server = QueueServer(s3_server.url)
    url, arn = server.create(namespace, VisibilityTimeout="10")
    variables = {"JOURNAL": str(journal.path)}
    system.deploy(
        namespace, package({"app.py": RECORDER}), timeout_seconds=10, Environment={"Variables": variables}
    )
    system.client.create_event_source_mapping(FunctionName=namespace, EventSourceArn=arn, BatchSize=1)
    orders = [{"label": "order", "sleep_seconds": 2 if number < 4 else 0} for number in range(20)]
    server.send(url, [json.dumps(order) for order in orders])
    eventually("four runs under way", lambda: len(journal.entries("start")) >= 4)
    (pid,) = system.pids("triggers")
    kill(pid)
    eventually("the queue is empty", lambda: server.left(url) == 0, within_seconds=40)
    runs = journal.runs_of("order")
    assert len(runs) == 20
    assert all(1 <= count <= 2 for count in runs.values())
    server.sqs.close()


async def test_a_queue_server_that_is_away_is_waited_for(moto: S3Server, namespace: str) -> None:
    arn = f"arn:aws:sqs:us-east-1:123456789012:{namespace}"

    def nothing(records: list[dict[str, Any]]) -> None:
        return None

    async with serving(moto.url, arn, nothing) as served:
        await served.until_reported("cannot be reached")
        for round_ in range(2):
            await asyncio.to_thread(moto.start)
            server = QueueServer(moto.url)
            url, _ = server.create(namespace)
            server.send(url, [f"order {round_}"])
            await served.until_called(round_ + 1, within_seconds=30)
            await served.until_reported("OK")
            await server.until_empty(url)
            server.sqs.close()
            moto.stop()
            await served.until_reported("PROBLEM")
    assert served.bodies == ["order 0", "order 1"]
