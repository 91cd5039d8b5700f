"""What comes after an asynchronous invocation, in a running system beside servers of SQS, SNS and S3."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from broker.lineage import MOST_RUNS
from tests.acceptance.functions import attempts, deploy, end_of, reserved, send, signed_get
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

ACCOUNT = "123456789012"
COUNTING = b"""
import os

def handler(event, context):
    with open(event["journal"], "a") as journal:
        journal.write(context.aws_request_id + "\\n")
    if event.get("fail"):
        raise RuntimeError("failed on purpose")
    return "done"
"""
LOOPING = b"""
import json, os, boto3

def handler(event, context):
    endpoint = event["endpoint"]
    client = boto3.client("lambda", endpoint_url=endpoint, region_name="us-east-1",
                          aws_access_key_id=event["key"], aws_secret_access_key=event["secret"])
    client.invoke(FunctionName=context.function_name, InvocationType="Event",
                  Payload=json.dumps({**event, "depth": event["depth"] + 1}))
    print("DEPTH %d" % event["depth"])
"""


@pytest.fixture(scope="module")
def late_port() -> int:
    """Of a server that is not there yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def system(
    s3_server: S3Server, late_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveSystem]:
    variables = {
        "LIGHTSWITCH_RETRY_STEP_SECONDS": "0.1",
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ENDPOINT_URL_SNS": f"http://127.0.0.1:{late_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with LiveSystem(tmp_path_factory.mktemp("system") / "data", variables=variables) as running:
        deploy(running, "job", COUNTING)
        yield running


@pytest.fixture
def journal() -> Iterator[Path]:
    """Where `job` notes each of its runs, under its own uid; a function's /tmp is its own."""
    directory = Path(tempfile.mkdtemp(prefix="lightswitch-journal-", dir="/var/tmp"))
    directory.chmod(0o711)
    path = directory / "runs"
    path.touch()
    path.chmod(0o666)
    yield path
    shutil.rmtree(directory)


def aws(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class Queue:
    def __init__(self, url: str) -> None:
        self._sqs = aws("sqs", url)
        self.name = f"q-{uuid.uuid4().hex[:8]}"
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"
        self._url = self._sqs.create_queue(QueueName=self.name)["QueueUrl"]

    def message(self) -> dict[str, Any]:
        for _ in attempts(f"a message in {self.name}"):
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                return dict(message)
        raise AssertionError


@pytest.fixture
def queue(s3_server: S3Server) -> Queue:
    return Queue(s3_server.url)


def configure(system: LiveSystem, **settings: Any) -> None:
    system.client.put_function_event_invoke_config(FunctionName="job", **settings)


def test_a_queue_hears_of_a_success(system: LiveSystem, queue: Queue, journal: Path) -> None:
    configure(system, DestinationConfig={"OnSuccess": {"Destination": queue.arn}})
    request_id = send(system, "job", {"journal": str(journal)})
    record = json.loads(queue.message()["Body"])
    assert record["requestContext"]["requestId"] == request_id
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", "done")
    ended = end_of(system, request_id)
    assert (ended["status"], ended["dead_letter"]) == ("succeeded", queue.arn)


def test_a_bucket_and_a_dead_letter_queue_hear_of_a_failure(
    system: LiveSystem, s3_server: S3Server, queue: Queue, journal: Path
) -> None:
    bucket = f"b-{uuid.uuid4().hex[:8]}"
    s3 = aws("s3", s3_server.url)
    s3.create_bucket(Bucket=bucket)
    destination = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    configure(system, MaximumRetryAttempts=1, DestinationConfig=destination)
    system.client.update_function_configuration(FunctionName="job", DeadLetterConfig={"TargetArn": queue.arn})
    event = {"journal": str(journal), "fail": True}
    request_id = send(system, "job", event)
    letter = queue.message()
    shown = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"]) == event
    assert shown == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "failed on purpose"}
    ended = end_of(system, request_id)
    assert ended["dead_letter"] == f"arn:aws:s3:::{bucket}, {queue.arn}"
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/async/job/")["Contents"]
    record = json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    assert record["requestContext"]["approximateInvokeCount"] == 2
    system.client.update_function_configuration(FunctionName="job", DeadLetterConfig={"TargetArn": ""})


def test_a_function_that_may_not_run_sends_its_events_to_the_queue(
    system: LiveSystem, queue: Queue, journal: Path
) -> None:
    configure(system, DestinationConfig={"OnFailure": {"Destination": queue.arn}})
    with reserved(system, "job", 0):
        send(system, "job", {"journal": str(journal)})
        context = json.loads(queue.message()["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
    assert journal.read_text() == ""


def test_a_queue_that_is_not_there_makes_a_dead_letter(system: LiveSystem, journal: Path) -> None:
    missing = f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing"
    configure(system, DestinationConfig={"OnSuccess": {"Destination": missing}})
    request_id = send(system, "job", {"journal": str(journal)})
    ended = end_of(system, request_id)
    assert (ended["status"], ended["dead_letter"]) == ("succeeded", f"dead-letter/{request_id}")
    assert "does not exist" in ended["destination_error"]


def test_a_topic_that_is_away_hears_of_it_later_and_the_function_runs_once(
    system: LiveSystem, late_port: int, journal: Path, tmp_path: Path
) -> None:
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:late"
    configure(system, DestinationConfig={"OnSuccess": {"Destination": topic}})
    request_id = send(system, "job", {"journal": str(journal)})
    for _ in attempts("the run"):
        if journal.read_text():
            break
    path = f"/lightswitch/v1/invocations/{request_id}"
    assert signed_get(system, path)["status"] == "pending"
    worker = system.pids("worker")[0]
    os.kill(worker, signal.SIGKILL)
    server = S3Server(tmp_path, late_port)
    server.start()
    try:
        aws("sns", server.url).create_topic(Name="late")
        ended = end_of(system, request_id)
    finally:
        server.stop()
    assert (ended["status"], ended["dead_letter"]) == ("succeeded", topic)
    assert journal.read_text() == f"{request_id}\n"


def test_a_function_that_invokes_itself_is_stopped(system: LiveSystem, queue: Queue) -> None:
    deploy(system, "loop", LOOPING)
    system.client.update_function_configuration(
        FunctionName="loop", DeadLetterConfig={"TargetArn": queue.arn}
    )
    keys = system.endpoint
    send(
        system,
        "loop",
        {"depth": 1, "endpoint": system.url, "key": keys.access_key, "secret": keys.secret_key},
    )
    letter = queue.message()
    assert json.loads(letter["Body"])["depth"] == MOST_RUNS + 1
    assert "recursive loop" in letter["MessageAttributes"]["ErrorMessage"]["StringValue"]
    ended = end_of(system, letter["MessageAttributes"]["RequestID"]["StringValue"])
    assert (ended["reason"], ended["attempts"]) == ("RecursiveInvocation", 0)
