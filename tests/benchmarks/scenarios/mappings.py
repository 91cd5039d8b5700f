"""Event source mappings of queues, on ElasticMQ: messages per second, CPU of each, latency, idle neighbours.

Throughput: the queue is full before the mapping is enabled; the clock runs from the first handler's start to
the last one's. CPU is that of all our processes, functions included; the queue server's is told beside it.
Latency: from just before SendMessage to the handler's first statement, one message at a time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import boto3
import psutil
from botocore.config import Config

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.queue_clock import (
    FUNCTION,
    PATIENCE_SECONDS,
    QueueClock,
    add_latency,
    elapsed_seconds,
)
from tests.benchmarks.source_bench import mapped, scratch_directory, system_beside
from tests.elasticmq.server import ElasticMq
from tests.live_system import LiveSystem

PAYLOAD = '{"order": "' + "x" * 1000 + '"}'
IDLE_MAPPINGS = 1000
LATENCY_PROMISE_MS = 300


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Batch 1 and 10 alone; latency; then batch 10 again beside a thousand mappings of empty queues."""
    findings = Findings("event source mappings of queues, 1 KB")
    messages = effort.async_invocations
    with _bench() as bench:
        # The queue server is a Java program: its first messages cost it a multiple.
        bench.run(findings, "batch 10, warming up", messages * 2, 10)
        bench.run(findings, "batch 1", messages // 2, 1)
        alone = bench.run(findings, "batch 10", messages, 10)
        bench.latency(findings)
        bench.add_idle_mappings(IDLE_MAPPINGS)
        bench.idle_cost(findings)
        beside = bench.run(findings, f"batch 10, beside {IDLE_MAPPINGS} idle mappings", messages, 10)
    share = ratio(beside, alone)
    findings.promise(f"rate beside {IDLE_MAPPINGS} idle mappings", share, "at least", 0.9, "x")
    return findings


@contextlib.contextmanager
def _bench() -> Iterator[Bench]:
    make = partial(ElasticMq, heap="1g")
    with (
        scratch_directory("mappings") as scratch,
        system_beside(make, "AWS_ENDPOINT_URL_SQS", scratch) as (live, server),
    ):
        yield Bench(live, server, scratch / "journal")


class Bench:
    """A system whose function writes down its starts, and queues that are mapped to it."""

    def __init__(self, live: LiveSystem, server: ElasticMq, journal: Path) -> None:
        self._live = live
        self._clock = QueueClock(live, journal)
        self._server = psutil.Process(server.pid)
        self._sqs = boto3.client(
            "sqs",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            config=Config(max_pool_connections=32),
        )

    def run(self, findings: Findings, what: str, messages: int, batch_size: int) -> float:
        """Messages per second of a mapping over a queue that is full."""
        url, arn = self._queue(f"full-{time.monotonic_ns()}")
        self._fill(url, messages)
        self._clock.clear()
        ours, theirs = self._clock.cpu_seconds(), self._server_seconds()
        with mapped(self._live, arn, BatchSize=batch_size):
            starts = self._clock.starts(messages)
            ours, theirs = self._clock.cpu_seconds() - ours, self._server_seconds() - theirs
            self._until_empty(url)
        elapsed = elapsed_seconds(starts)
        findings.add(
            what,
            messages_per_second=round(messages / elapsed),
            cpu_ms_per_message=round(ours / messages * 1000, 3),
            server_cpu_ms_per_message=round(theirs / messages * 1000, 3),
            runs=len(starts),
            run_again=sum(count for _, count in starts) - messages,
        )
        return messages / elapsed

    def latency(self, findings: Findings, messages: int = 200) -> None:
        """From send to start, one by one."""
        url, arn = self._queue(f"latency-{time.monotonic_ns()}")
        with mapped(self._live, arn):
            waits = self._clock.latencies_ms(
                lambda: self._sqs.send_message(QueueUrl=url, MessageBody=PAYLOAD), messages
            )
        add_latency(findings, "SQS", waits, LATENCY_PROMISE_MS)

    def add_idle_mappings(self, count: int) -> None:
        """Map as many empty queues, and wait until all of them are served."""

        def add(number: int) -> None:
            _, arn = self._queue(f"idle-{number}")
            self._live.client.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=arn)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(count)))
        deadline = time.monotonic() + PATIENCE_SECONDS
        pages = self._live.client.get_paginator("list_event_source_mappings")
        while time.monotonic() < deadline:
            mappings = [each for page in pages.paginate() for each in page["EventSourceMappings"]]
            if sum("LastProcessingResult" in mapping for mapping in mappings) >= count:
                return
            time.sleep(0.5)
        raise TimeoutError(f"not all of {count} mappings were served within {PATIENCE_SECONDS:g} s")

    def idle_cost(self, findings: Findings, seconds: float = 20.0) -> None:
        """CPU and memory of the triggers process while nothing comes, over one round of long polls."""
        (pid,) = self._live.pids("triggers")
        process = psutil.Process(pid)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        findings.add(
            f"{IDLE_MAPPINGS} idle mappings",
            percent_of_a_core=round(used / seconds * 100, 1),
            rss_mb=round(process.memory_info().rss / 1e6),
        )

    def _queue(self, name: str) -> tuple[str, str]:
        url: str = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:us-east-1:123456789012:{name}"

    def _fill(self, url: str, messages: int) -> None:
        def send(start: int) -> None:
            entries = [
                {"Id": str(number), "MessageBody": PAYLOAD} for number in range(min(10, messages - start))
            ]
            self._sqs.send_message_batch(QueueUrl=url, Entries=entries)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, range(0, messages, 10)))

    def _until_empty(self, url: str) -> None:
        """Everything is deleted. Raises TimeoutError."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            asked = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if all(asked[name] == "0" for name in names):
                return
            time.sleep(0.1)
        raise TimeoutError(f"{url} is not empty after {PATIENCE_SECONDS:g} s")

    def _server_seconds(self) -> float:
        times = self._server.cpu_times()
        return float(times.user + times.system)
