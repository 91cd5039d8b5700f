"""Triggers on Kafka, measured as `queues` measures those on RabbitMQ and Redis.

Of a partition one batch runs at a time, so the rates are those of a topic with as many partitions as may run
at a time; those of a single partition stand beside them.
"""

from __future__ import annotations

from functools import partial

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.queue_clock import QueueClock
from tests.benchmarks.scenarios.queues import PAYLOAD, Source, Triggers, latency, throughput
from tests.benchmarks.source_bench import scratch_directory
from tests.kafka_server import KafkaServer

PARTITIONS = {"ten partitions": 10, "one partition": 1}


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Throughput at batch 1 and 10, and latency."""
    findings = Findings("triggers on Kafka, 1 KB")
    messages = effort.async_invocations // 2
    with scratch_directory("topics") as scratch:
        server = KafkaServer(scratch, heap="512m")
        server.start()
        try:
            triggers = Triggers(contestants.main, QueueClock(contestants.main.live, scratch / "journal"))
            for name, partitions in PARTITIONS.items():
                source = Source(f"Kafka, {name}", server.url, partial(_send, server, partitions))
                for batch_size in (1, 10):
                    topic = f"throughput-{partitions}-{batch_size}"
                    server.make_topic(topic, partitions)
                    throughput(findings, triggers, source, messages, batch_size, topic)
            server.make_topic("latency")
            latency(findings, triggers, Source("Kafka", server.url, partial(_send, server, 1)))
        finally:
            server.stop()
    return findings


def _send(server: KafkaServer, partitions: int, topic: str, count: int) -> None:
    for partition in range(partitions):
        server.send(topic, *[PAYLOAD] * (count // partitions), partition=partition)
