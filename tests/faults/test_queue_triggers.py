"""Queue triggers while RabbitMQ, or the process that reads from it, is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import amqp
import pytest

from deploy.endpoint import Endpoint
from tests.faults.conftest import QUEUE, kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem
from tests.rabbitmq_server import RabbitmqServer


@pytest.fixture
def rabbitmq(rabbitmq_script: Path, tmp_path: Path) -> Iterator[RabbitmqServer]:
    """A node of one's own, not started."""
    server = RabbitmqServer(rabbitmq_script, tmp_path / "rabbitmq")
    yield server
    server.close()


def send(server: RabbitmqServer, *bodies: str) -> None:
    """Publish persistent messages, each confirmed by the server."""
    with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        for body in bodies:
            channel.basic_publish_confirm(amqp.Message(body, delivery_mode=2), "", QUEUE)


def left_in(server: RabbitmqServer, queue: str) -> int:
    with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
        return int(connection.channel().queue_declare(queue, passive=True).message_count)


def test_messages_of_a_killed_reader_come_again_and_none_is_lost(
    system: LiveSystem,
    rabbitmq: RabbitmqServer,
    journal: Journal,
    add_trigger: Callable[..., str],
    report: Callable[..., None],
) -> None:
    rabbitmq.start()
    sent = [f"m{number}" for number in range(30)]
    send(rabbitmq, *sent)
    add_trigger(rabbitmq.url, sleep_seconds=0.3, max_concurrency=4)
    eventually("runs under way", lambda: len(journal.entries("start")) >= 8)
    (reader,) = system.pids("triggers")
    kill(reader)
    eventually(
        "every message to have run", lambda: {e.label for e in journal.entries("end")} == set(sent), 40
    )
    eventually("an empty queue", lambda: left_in(rabbitmq, QUEUE) == 0)
    assert left_in(rabbitmq, f"{QUEUE}.dead-letter") == 0
    report(messages=len(sent), runs=len(journal.entries("start")))


def test_a_server_that_is_away_is_reported_and_waited_for(
    rabbitmq: RabbitmqServer, endpoint: Endpoint, journal: Journal, add_trigger: Callable[..., str]
) -> None:
    trigger_id = add_trigger(rabbitmq.url)

    def last_result() -> str:
        return str(endpoint.get(f"/triggers/{trigger_id}")["status"].get("last_result", ""))

    eventually("the report of a server that is not there", lambda: "PROBLEM" in last_result(), 20)
    assert "guest" not in last_result()
    rabbitmq.start()
    send(rabbitmq, "first")
    eventually("the first run", lambda: journal.entries("end", label="first"), 40)
    eventually("a good report", lambda: last_result() == "OK", 20)
    rabbitmq.stop_node()
    eventually("the report of a server that has gone", lambda: "PROBLEM" in last_result(), 40)
    rabbitmq.start()
    send(rabbitmq, "second")
    eventually("the second run", lambda: journal.entries("end", label="second"), 40)
