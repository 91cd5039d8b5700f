"""Triggers on Kafka while the process that reads a topic, or its broker, is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.endpoint import Endpoint
from tests.faults.conftest import QUEUE, kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.kafka_server import KafkaServer
from tests.live_system import LiveSystem
from tests.web_server import running

PARTITIONS = 3
EACH = 12


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of one's own, with the topic."""
    with running(KafkaServer(tmp_path)) as server:
        server.make_topic(QUEUE, PARTITIONS)
        yield server


def send(server: KafkaServer, first: int = 0, last: int = EACH) -> None:
    """Records `PARTITION.NUMBER`."""
    for partition in range(PARTITIONS):
        server.send(QUEUE, *(f"{partition}.{number}" for number in range(first, last)), partition=partition)


def ran(journal: Journal, partition: int) -> list[int]:
    """Numbers of a partition's records in the order in which each ended for the first time."""
    labels = dict.fromkeys(entry.label for entry in journal.entries("end"))
    return [int(label.partition(".")[2]) for label in labels if label.startswith(f"{partition}.")]


def all_ran(journal: Journal, count: int) -> bool:
    return all(len(ran(journal, partition)) == count for partition in range(PARTITIONS))


def all_committed(server: KafkaServer, trigger_id: str, count: int) -> bool:
    return committed(server, trigger_id) == [count] * PARTITIONS


def committed(server: KafkaServer, trigger_id: str) -> list[int]:
    """How far each partition has come."""
    return [server.committed(f"lightswitch-{trigger_id}", QUEUE, number) for number in range(PARTITIONS)]


def repeated(journal: Journal) -> list[tuple[int, int]]:
    """Partition and number of each record that ran more than once."""
    runs = Counter(entry.label for entry in journal.entries("start"))
    pairs = [label.split(".") for label, count in runs.items() if count > 1]
    return [(int(partition), int(number)) for partition, number in pairs]


def test_records_of_a_killed_reader_come_again_in_order_and_none_is_lost(
    system: LiveSystem,
    kafka: KafkaServer,
    journal: Journal,
    add_trigger: Callable[..., str],
    report: Callable[..., None],
) -> None:
    send(kafka)
    trigger_id = add_trigger(kafka.url, sleep_seconds=0.2)
    eventually("runs under way", lambda: len(journal.entries("start")) >= 8)
    (reader,) = system.pids("triggers")
    kill(reader)
    kept = committed(kafka, trigger_id)  # before another has its lease
    eventually("every record to have run", lambda: all_ran(journal, EACH), 40)
    for partition in range(PARTITIONS):
        assert ran(journal, partition) == list(range(EACH))
    eventually("all commits", lambda: all_committed(kafka, trigger_id, EACH))
    for partition, number in repeated(journal):
        assert number >= kept[partition], "what was committed came again"
    report(records=PARTITIONS * EACH, repeated=len(repeated(journal)))


def test_of_two_replicas_one_reads_and_the_other_goes_on_where_it_was(
    system: LiveSystem,
    second_process: int,
    kafka: KafkaServer,
    journal: Journal,
    add_trigger: Callable[..., str],
) -> None:
    send(kafka, 0, 5)
    trigger_id = add_trigger(kafka.url)
    eventually("the first runs", lambda: all_ran(journal, 5), 40)
    eventually("their commits", lambda: all_committed(kafka, trigger_id, 5))
    assert repeated(journal) == []
    (first_process,) = system.pids("triggers")
    kill(first_process)  # `up` starts another; whoever is left or new goes on
    kill(second_process)
    send(kafka, 5)
    eventually("the other runs", lambda: all_ran(journal, EACH), 40)
    for partition in range(PARTITIONS):
        assert ran(journal, partition) == list(range(EACH))
    assert repeated(journal) == []


def test_a_broker_that_is_killed_is_reported_and_loses_and_repeats_nothing(
    kafka: KafkaServer, endpoint: Endpoint, journal: Journal, add_trigger: Callable[..., str]
) -> None:
    def last_result() -> str:
        return str(endpoint.get(f"/triggers/{trigger_id}")["status"].get("last_result", ""))

    send(kafka)
    trigger_id = add_trigger(kafka.url, sleep_seconds=0.2)
    eventually("runs under way", lambda: len(journal.entries("start")) >= 8)
    kafka.stop()
    eventually("the report of a broker that has gone", lambda: "PROBLEM" in last_result(), 30)
    kafka.start()
    eventually("every record to have run", lambda: all_ran(journal, EACH), 40)
    eventually("all commits", lambda: all_committed(kafka, trigger_id, EACH), 20)
    for partition in range(PARTITIONS):
        assert ran(journal, partition) == list(range(EACH))
    assert repeated(journal) == []
