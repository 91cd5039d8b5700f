"""`up --with-local-aws`: unmodified boto3 code in functions finds services that work; and the demo."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.data_dir import DataDir
from tests.acceptance.command_line import clean_environ, run_program
from tests.deployment_packages import package
from tests.live_system import LiveSystem

PROJECT = Path(__file__).parents[2]

FUNCTION = b"""
import json, os, boto3

def handler(event, context):
    if "Records" not in event:
        return {"called": event}
    key = event["Records"][0]["s3"]["object"]["key"]
    body = boto3.client("s3").get_object(Bucket="in-box", Key=key)["Body"].read().decode()
    called = boto3.client("lambda").invoke(FunctionName="echo", Payload=json.dumps({"body": body}))
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="out")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=called["Payload"].read().decode())
    return os.environ["AWS_ACCESS_KEY_ID"]
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    directory = tmp_path_factory.mktemp("local") / "data"
    with LiveSystem(directory, ["--with-local-aws", "--workers", "1"]) as system:
        for name in ("echo", "reader"):
            system.deploy(name, package({"app.py": FUNCTION}))
        yield system


def local(system: LiveSystem, service: str) -> Any:
    running = DataDir(system.data_dir).running()
    assert running is not None
    return boto3.client(
        service,
        endpoint_url=running.local_aws_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def lightswitch(system: LiveSystem, *arguments: str) -> str:
    program = str(Path(sys.executable).with_name("lightswitch"))
    done = run_program([program, *arguments, "--data-dir", str(system.data_dir)])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_uploaded_object_runs_a_function_that_uses_other_services(system: LiveSystem) -> None:
    local(system, "s3").create_bucket(Bucket="in-box")
    queue = local(system, "sqs").create_queue(QueueName="out")["QueueUrl"]
    shown = ("trigger", "add", "object-store", "in-box", "--function", "reader", "--scan-seconds", "0.5")
    assert len(lightswitch(system, *shown).strip()) == 36

    local(system, "s3").put_object(Bucket="in-box", Key="note.txt", Body=b"hello")

    [body] = receive(system, queue, 1)
    assert json.loads(body) == {"called": {"body": "hello"}}


FORWARDER = b"""
import boto3

def handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="heard")["QueueUrl"]
    for record in event["Records"]:
        sqs.send_message(QueueUrl=url, MessageBody=record["body"])
"""


def receive(system: LiveSystem, queue_url: str, most: int) -> list[str]:
    """The bodies of that many messages, as they come."""
    deadline = time.monotonic() + 30
    bodies: list[str] = []
    while len(bodies) < most and time.monotonic() < deadline:
        answer = local(system, "sqs").receive_message(QueueUrl=queue_url, WaitTimeSeconds=1)
        bodies += [message["Body"] for message in answer.get("Messages", [])]
    return bodies


def test_a_topic_reaches_a_function_through_a_queue_raw_and_wrapped(system: LiveSystem) -> None:
    sns, sqs = local(system, "sns"), local(system, "sqs")
    system.deploy("forwarder", package({"app.py": FORWARDER}))
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    topic = sns.create_topic(Name="news")["TopicArn"]
    for name, raw in (("wrapped", "false"), ("raw", "true")):
        url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "120"})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RawMessageDelivery": raw}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        system.client.create_event_source_mapping(EventSourceArn=arn, FunctionName="forwarder")

    sns.publish(TopicArn=topic, Message="hello")

    wrapped, raw_body = sorted(receive(system, heard, 2), key=lambda body: body == "hello")
    assert raw_body == "hello"
    assert json.loads(wrapped)["Message"] == "hello"
    assert json.loads(wrapped)["TopicArn"] == topic


def test_functions_sign_with_keys_of_their_own(system: LiveSystem) -> None:
    keys = json.loads((system.data_dir / "credentials.json").read_text())
    answer = system.client.invoke(FunctionName="echo", Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == {"called": {}}

    environments = [
        (Path("/proc") / str(process.pid) / "environ").read_bytes()
        for process in system.processes()
        if "gateway" not in process.cmdline()
    ]
    assert not any(keys["secret_access_key"].encode() in environment for environment in environments)


def test_a_shell_is_told_where_the_services_are(system: LiveSystem) -> None:
    printed = lightswitch(system, "env")

    url = DataDir(system.data_dir).running()
    assert url is not None
    for service in ("S3", "SQS", "SNS", "DYNAMODB", "DYNAMODB_STREAMS"):
        assert f"export AWS_ENDPOINT_URL_{service}={url.local_aws_url}\n" in printed
    assert f"export AWS_ENDPOINT_URL_LAMBDA={system.url}\n" in printed


def test_the_demo_works_and_ends_by_itself(tmp_path: Path) -> None:
    environ = {**clean_environ(), "TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    tmp_path.chmod(0o711)

    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    [thumbnail] = tmp_path.glob("lightswitch-demo-*/thumbnail.png")
    assert thumbnail.read_bytes().startswith(b"\x89PNG")
    for step in ("upload", "trigger thumbnailer", "queue", "handler", "message in the queue"):
        assert f"  {step} " in done.stdout
