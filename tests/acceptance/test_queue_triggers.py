"""Queue triggers as their users see them: added by the command line, fed by any producer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import amqp
import pytest
import redis

from broker.lineage import MOST_RUNS
from tests.acceptance.command_line import CommandLine
from tests.acceptance.conftest import WriteFunction
from tests.deployment_packages import package
from tests.installed_packages import files_of
from tests.kafka_server import KafkaServer
from tests.live_system import LiveSystem
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer

PATIENCE_SECONDS = 20.0

PRINTS = """
import json

def handler(event, context):
    print("EVENT", json.dumps(event))
    if "poison" in json.dumps(event) or "cG9pc29u" in json.dumps(event):
        raise ValueError("cannot digest this")
"""


PUBLISHES_AGAIN = """
import os

import amqp

def handler(event, context):
    (queue,) = event["rmqMessagesByQueue"]
    headers = {"X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"]}
    with amqp.Connection(os.environ["RABBITMQ"]) as connection:
        message = amqp.Message("again", application_headers=headers)
        connection.channel().basic_publish_confirm(message, "", queue.partition("::")[0])
    print("EVENT {}")
"""


class Deployed:
    """A function that prints its events."""

    def __init__(self, name: str, command_line: CommandLine) -> None:
        self.name = name
        self._command_line = command_line

    def events(self) -> list[dict[str, object]]:
        printed = self._command_line.run("logs", self.name).stdout.splitlines()
        return [json.loads(line.partition("EVENT ")[2]) for line in printed if "EVENT " in line]


@pytest.fixture
def deployed(command_line: CommandLine, write_function: WriteFunction, function_name: str) -> Deployed:
    folder = write_function(PRINTS)
    done = command_line.run("deploy", folder, "--name", function_name, "--handler", "app.handler")
    assert done.returncode == 0, done.stderr
    return Deployed(function_name, command_line)


@pytest.fixture
def queue() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def channel(rabbitmq_server: RabbitmqServer) -> Iterator[amqp.Channel]:
    connection = amqp.Connection(f"127.0.0.1:{rabbitmq_server.port}")
    connection.connect()
    yield connection.channel()
    connection.close()


@pytest.fixture
def add_queue(command_line: CommandLine) -> Iterator[Callable[..., str]]:
    """Add a queue trigger with the given arguments; removed afterwards."""
    added: list[str] = []

    def add(*arguments: str) -> str:
        done = command_line.run("trigger", "add", "queue", *arguments)
        assert done.returncode == 0, done.stderr
        added.append(done.stdout.strip())
        return added[-1]

    yield add
    for trigger_id in added:
        assert command_line.run("trigger", "remove", trigger_id).returncode == 0


def eventually(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.05)


def test_a_plain_amqp_message_runs_the_function_and_a_poison_one_is_set_aside(
    command_line: CommandLine,
    rabbitmq_server: RabbitmqServer,
    channel: amqp.Channel,
    deployed: Deployed,
    queue: str,
    add_queue: Callable[..., str],
) -> None:
    trigger_id = add_queue(
        rabbitmq_server.url,
        *("--queue", queue, "--function", deployed.name, "--batch-size", "10"),
        *("--exchange", f"{queue}-events", "--routing-key", "order.#"),
        *("--max-receives", "2", "--retry-delay-seconds", "0.1"),
    )

    def status() -> dict[str, str]:
        shown = json.loads(command_line.run("trigger", "show", trigger_id).stdout)
        assert "guest:guest" not in json.dumps(shown)
        answer: dict[str, str] = shown["status"]
        return answer

    eventually("a trigger at work", lambda: status().get("state") == "running")
    for body in ("poison", "fine"):
        message = amqp.Message(body, content_type="text/plain", application_headers={"tenant": "t1"})
        channel.basic_publish_confirm(message, f"{queue}-events", "order.new")

    def size(name: str) -> int:
        return int(channel.queue_declare(name, passive=True).message_count)

    eventually("the dead letter", lambda: size(f"{queue}.dead-letter") == 1)
    eventually("the run", lambda: any("ZmluZQ==" in json.dumps(event) for event in deployed.events()))
    event = deployed.events()[0]
    assert event["eventSource"] == "aws:rmq"
    assert list(event["rmqMessagesByQueue"]) == [f"{queue}::/"]  # type: ignore[call-overload]
    eventually("an empty queue", lambda: size(queue) == 0)
    letter = channel.basic_get(f"{queue}.dead-letter", no_ack=True)
    assert "cannot digest this" in letter.headers["x-lightswitch-reason"]
    assert letter.headers["tenant"] == "t1"


def test_a_function_that_publishes_to_its_own_queue_is_stopped(
    running_system: LiveSystem,
    rabbitmq_server: RabbitmqServer,
    channel: amqp.Channel,
    function_name: str,
    queue: str,
    add_queue: Callable[..., str],
) -> None:
    code = package({"app.py": PUBLISHES_AGAIN.encode(), **files_of("amqp", "vine")})
    variables = {"RABBITMQ": f"127.0.0.1:{rabbitmq_server.port}"}
    running_system.deploy(function_name, code, MemorySize=1769, Environment={"Variables": variables})
    add_queue(rabbitmq_server.url, "--queue", queue, "--function", function_name)
    dead = f"{queue}.dead-letter"
    for name in (queue, dead):
        channel.queue_declare(name, durable=True, auto_delete=False)
    channel.basic_publish_confirm(amqp.Message("begin"), "", queue)

    eventually("the dead letter", lambda: channel.queue_declare(dead, passive=True).message_count == 1)
    assert "recursive loop" in channel.basic_get(dead, no_ack=True).headers["x-lightswitch-reason"]
    command_line = CommandLine(running_system.data_dir)
    metric = f"RecursiveInvocationsDropped\t{function_name}\t1"
    assert metric in command_line.run("metrics").stdout.splitlines()
    deployed = Deployed(function_name, command_line)
    eventually("all runs", lambda: len(deployed.events()) == MOST_RUNS)


def test_bytes_pushed_to_a_redis_list_run_the_function(
    redis_server: RedisServer, deployed: Deployed, queue: str, add_queue: Callable[..., str]
) -> None:
    client = redis.Redis(unix_socket_path=str(redis_server.socket_path))
    client.lpush(queue, b"text", b"\xff")
    add_queue(redis_server.url, "--queue", queue, "--function", deployed.name, "--batch-size", "2")
    eventually("the run", deployed.events)
    (event,) = deployed.events()
    assert event["eventSource"] == "lightswitch:redis"
    first, second = event["messagesByQueue"][queue]  # type: ignore[index]
    assert (first["body"], first["isBase64Encoded"]) == ("text", False)
    assert (second["body"], second["isBase64Encoded"]) == ("/w==", True)
    eventually("an empty list", lambda: client.llen(queue) == 0)
    client.close()


def test_a_kafka_topic_is_read_on_after_a_poison_record_and_after_a_pause(
    command_line: CommandLine,
    kafka_server: KafkaServer,
    deployed: Deployed,
    queue: str,
    add_queue: Callable[..., str],
) -> None:
    kafka_server.make_topic(queue)
    trigger_id = add_queue(
        kafka_server.url,
        *("--queue", queue, "--function", deployed.name, "--batch-size", "10"),
        *("--max-receives", "2", "--retry-delay-seconds", "0.1", "--consumer-group", queue),
    )

    def values() -> list[str]:
        return [record["value"] for event in deployed.events() for record in event["records"][f"{queue}-0"]]  # type: ignore[index]

    kafka_server.send(queue, "poison", headers=[("tenant", "t1")])
    kafka_server.send(queue, "fine")
    eventually("the run behind the poison", lambda: values()[-1:] == ["ZmluZQ=="])
    eventually("the commit", lambda: kafka_server.committed(queue, queue) == 2)
    (letter,) = kafka_server.records(f"{queue}.dead-letter")
    assert letter.value() == b"poison"
    assert b"cannot digest this" in dict(letter.headers())["x-lightswitch-reason"]

    assert command_line.run("trigger", "disable", trigger_id).returncode == 0
    assert json.loads(command_line.run("trigger", "show", trigger_id).stdout)["enabled"] is False
    kafka_server.send(queue, "kept")
    assert command_line.run("trigger", "enable", trigger_id).returncode == 0
    eventually("the run after the pause", lambda: values()[-1:] == ["a2VwdA=="])


def test_no_log_has_the_password_of_a_queue(
    running_system: LiveSystem, deployed: Deployed, queue: str, add_queue: Callable[..., str]
) -> None:
    url = "amqp://user:hunter2@127.0.0.1:1//"
    trigger_id = add_queue(url, "--queue", queue, "--function", deployed.name)
    command_line = CommandLine(running_system.data_dir)

    def listed() -> str:
        return command_line.run("trigger", "list").stdout

    eventually("the problem", lambda: "PROBLEM" in command_line.run("trigger", "show", trigger_id).stdout)
    said = [running_system.log_file, *Path(running_system.data_dir / "logs").glob("*.log")]
    assert not [log for log in said if "hunter2" in log.read_text(errors="replace")]
    assert "hunter2" not in listed()


def test_a_trigger_that_cannot_work_is_refused(
    command_line: CommandLine, deployed: Deployed, queue: str
) -> None:
    arguments = ("trigger", "add", "queue", "amqp://h", "--queue", queue, "--function", deployed.name)
    refused = command_line.run(*arguments, "--batch-size", "0")
    assert refused.returncode == 1
    assert "batch_size is 0; it must be between 1 and 10000" in refused.stderr
