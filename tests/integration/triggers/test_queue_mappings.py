"""Queues served by a mapping: what is run, what is deleted, what comes again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from broker.errors import RecursiveLoop, Throttled
from broker.lineage import MOST_RUNS, counted, is_recursive
from tests.elasticmq.server import ElasticMq
from tests.integration.triggers.queue_workbench import FUNCTION, FunctionError, QueueServer, serving
from tests.waiting import until
from tests.web_server import running

QUICK = {"VisibilityTimeout": "1"}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(scope="module")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticMq]:
    with running(ElasticMq(tmp_path_factory.mktemp("elasticmq"))) as server:
        yield server


@pytest.fixture(scope="module", params=["moto", "elasticmq"])
def server(request: pytest.FixtureRequest) -> Iterator[QueueServer]:
    fixture = "s3_server" if request.param == "moto" else "elasticmq"
    queues = QueueServer(request.getfixturevalue(fixture).url)
    yield queues
    queues.sqs.close()


def nothing(records: list[dict[str, Any]]) -> None:
    return None


async def test_messages_are_run_once_and_deleted(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    bodies = [f"order {number}" for number in range(50)]
    server.send(url, bodies)
    async with serving(server.url, arn, nothing) as served:
        await server.until_empty(url)
    assert sorted(served.bodies) == sorted(bodies)
    assert len(served.receipts) == len(set(served.receipts))
    assert max(len(batch) for batch in served.batches) <= 10
    assert served.reports[-1] == "OK"


async def test_a_record_carries_all_that_the_message_has(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    attributes = {
        "kind": {"DataType": "String", "StringValue": "größe"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "count": {"DataType": "Number.int", "StringValue": "7"},
    }
    trace = {
        "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}
    }
    sent = server.sqs.send_message(
        QueueUrl=url, MessageBody="ü{}", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    async with serving(server.url, arn, nothing) as served:
        await served.until_called(1)
    record = served.batches[0][0]
    assert record["messageId"] == sent["MessageId"]
    assert (record["body"], record["md5OfBody"]) == ("ü{}", sent["MD5OfMessageBody"])
    assert record["messageAttributes"] == {
        "kind": {
            "stringValue": "größe",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        },
        "blob": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        "count": {
            "stringValue": "7",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "Number.int",
        },
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == (
        "aws:sqs",
        arn,
        "us-east-1",
    )
    assert served.headers == [trace["AWSTraceHeader"]["StringValue"]]


async def test_what_failed_comes_again_after_the_visibility_timeout(
    server: QueueServer, namespace: str
) -> None:
    url, arn = server.create(namespace, **QUICK)
    server.send(url, ["order"])
    loop = asyncio.get_running_loop()
    calls: list[float] = []

    def fail_once(records: list[dict[str, Any]]) -> None:
        calls.append(loop.time())
        if len(calls) == 1:
            raise FunctionError("not yet")

    async with serving(server.url, arn, fail_once) as served:
        await served.until_called(1)
        await served.until_reported("PROBLEM: Function call failed")
        await server.until_empty(url)
        await served.until_reported("OK")
    assert len(calls) == 2
    assert calls[1] - calls[0] > 0.7
    assert served.batches[1][0]["attributes"]["ApproximateReceiveCount"] == "2"


async def test_of_a_batch_only_what_failed_comes_again(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace, **QUICK)
    server.send(url, ["good", "bad", "fine"])
    seen: Counter[str] = Counter()

    def answer(records: list[dict[str, Any]]) -> dict[str, Any]:
        seen.update(record["body"] for record in records)
        failed = [record for record in records if record["body"] == "bad" and seen["bad"] == 1]
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}

    async with serving(server.url, arn, answer, report_batch_item_failures=True):
        await server.until_empty(url)
    assert seen == {"good": 1, "bad": 2, "fine": 1}


async def test_a_long_function_is_not_run_twice(
    server: QueueServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.event_source_mapping.queues.holding.SHORTEST_HIDE_SECONDS", 2)
    url, arn = server.create(namespace, VisibilityTimeout="2")
    server.send(url, ["long"])

    async def long(records: list[dict[str, Any]]) -> None:
        await asyncio.sleep(5)

    async with serving(server.url, arn, long) as served:
        await server.until_empty(url)
    assert served.bodies == ["long"]


async def test_a_poison_message_goes_to_its_dead_letter_queue_and_blocks_nobody(
    server: QueueServer, namespace: str
) -> None:
    dead_url, dead_arn = server.create(f"{namespace}-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = server.create(namespace, **QUICK, RedrivePolicy=redrive)
    server.send(url, ["poison", *(f"order {number}" for number in range(30))])

    def refuse_poison(records: list[dict[str, Any]]) -> None:
        if records[0]["body"] == "poison":
            raise FunctionError("I choke on this")

    async with serving(server.url, arn, refuse_poison, batch_size=1) as served:
        await server.until_empty(url)
        assert server.left(dead_url) == 1
    assert Counter(served.bodies) == {"poison": 2} | {f"order {number}": 1 for number in range(30)}


async def test_a_throttled_function_does_not_use_up_receives(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace, **QUICK)
    server.send(url, ["order"])
    refusals = 3

    def throttled(records: list[dict[str, Any]]) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise Throttled(FUNCTION, 1)

    async with serving(server.url, arn, throttled) as served:
        await served.until_reported("PROBLEM: Function throttled")
        await server.until_empty(url)
        await served.until_reported("OK")
    assert [batch[0]["attributes"]["ApproximateReceiveCount"] for batch in served.batches] == ["1"] * 4


async def test_a_message_in_a_recursive_loop_is_left_and_the_others_run(
    server: QueueServer, namespace: str
) -> None:
    url, arn = server.create(namespace)
    lineage = "Root=1-5759e988-bd862e3fe1be46a994272793"
    for _ in range(MOST_RUNS):
        lineage = counted(lineage, FUNCTION)
    looping = {"AWSTraceHeader": {"DataType": "String", "StringValue": lineage}}
    server.sqs.send_message(QueueUrl=url, MessageBody="looping", MessageSystemAttributes=looping)
    server.send(url, ["order"])
    ran: list[str] = []

    def refuse_loops(records: list[dict[str, Any]]) -> None:
        if any(is_recursive(record["attributes"].get("AWSTraceHeader", ""), FUNCTION) for record in records):
            raise RecursiveLoop(FUNCTION)
        ran.extend(record["body"] for record in records)

    async with serving(server.url, arn, refuse_loops):
        await until(lambda: ran == ["order"] and server.left(url) == 1)
    assert ran == ["order"]


async def test_nothing_is_received_for_a_function_that_is_gone(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace, **QUICK)
    async with serving(server.url, arn, nothing) as served:
        await served.until_reported("No records processed")
        await served.registry.delete(FUNCTION)
        server.send(url, ["order"])
        await served.until_reported(f"PROBLEM: function {FUNCTION} does not exist")
        assert not served.batches


async def test_maximum_concurrency_is_kept(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    server.send(url, [f"order {number}" for number in range(30)])
    running, most = 0, 0

    async def count(records: list[dict[str, Any]]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1

    async with serving(server.url, arn, count, batch_size=1, maximum_concurrency=3):
        await server.until_empty(url)
    assert most == 3


async def test_what_would_wait_long_is_left_to_others(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    server.send(url, [f"order {number}" for number in range(8)])
    hidden: list[int] = []

    async def long(records: list[dict[str, Any]]) -> None:
        await asyncio.sleep(0.3)
        hidden.append(await asyncio.to_thread(server.hidden, url))

    async with serving(server.url, arn, long, batch_size=1, maximum_concurrency=2):
        await server.until_empty(url)
    assert len(hidden) == 8
    assert max(hidden) <= 4  # two that run, and two that are being deleted


async def test_a_window_gathers_a_large_batch(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    server.send(url, [f"order {number}" for number in range(60)])
    window = {"batch_size": 50, "maximum_batching_window_seconds": 2}
    async with serving(server.url, arn, nothing, **window) as served:
        await server.until_empty(url)
    assert [len(batch) for batch in served.batches] == [50, 10]


async def test_filtered_messages_are_deleted_unrun(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    server.send(url, ['{"kind": "order"}', '{"kind": "noise"}', "no JSON"])
    async with serving(server.url, arn, nothing, filters=('{"body": {"kind": ["order"]}}',)) as served:
        await server.until_empty(url)
    assert served.bodies == ['{"kind": "order"}']


async def test_a_group_keeps_its_order_and_groups_run_side_by_side(
    server: QueueServer, namespace: str
) -> None:
    url, arn = server.create(f"{namespace}.fifo", **QUICK)
    for number in range(6):
        for group in ("a", "b", "c"):
            server.send(url, [f"{group}{number}"], group=group)
    failures = {"b2"}
    running, most = Counter[str](), 0

    async def in_order(records: list[dict[str, Any]]) -> None:
        nonlocal most
        groups = {record["attributes"]["MessageGroupId"] for record in records}
        assert len(groups) == 1
        running.update(groups)
        most = max(most, sum(running.values()))
        assert max(running.values()) == 1
        await asyncio.sleep(0.05)
        running.subtract(groups)
        if any(record["body"] in failures for record in records):
            failures.clear()
            raise FunctionError("once")

    async with serving(server.url, arn, in_order, batch_size=2) as served:
        await server.until_empty(url, within_seconds=30)
    for group in "abc":
        first_runs = dict.fromkeys(body for body in served.bodies if body.startswith(group))
        assert list(first_runs) == [f"{group}{number}" for number in range(6)]
    runs_of_b = [body for body in served.bodies if body.startswith("b")]
    assert runs_of_b.index("b4") > len(runs_of_b) - 1 - runs_of_b[::-1].index("b2")
    assert most > 1


async def test_what_waits_is_given_back_when_the_mapping_stops(server: QueueServer, namespace: str) -> None:
    url, arn = server.create(namespace)
    server.send(url, ["one", "two", "three"])
    window = {"batch_size": 50, "maximum_batching_window_seconds": 300}
    async with serving(server.url, arn, nothing, **window):
        await until(lambda: server.hidden(url) == 3)
    visible = server.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in visible} == {"one", "two", "three"}
