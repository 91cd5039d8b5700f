"""Event source mappings of table streams: records per second, CPU of each, and latency.

The tables' server is that of `up --with-local-aws`. Throughput: the stream is full before the mapping is
made; the clock runs from the first handler's start to the last one's. Latency: from just before PutItem to
the handler's first statement, one record at a time.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.queue_clock import QueueClock, add_latency, elapsed_seconds
from tests.benchmarks.source_bench import mapped, scratch_directory, system_beside
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

TEXT = {"S": "x" * 1000}
LATENCY_PROMISE_MS = 300
ITEMS_A_WRITE = 25


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Batch 1, 10 and 100, then latency."""
    findings = Findings("event source mappings of table streams, 1 KB")
    with _bench() as bench:
        for batch_size in (1, 10, 100):
            bench.run(findings, effort.async_invocations // 4, batch_size)
        bench.latency(findings)
    return findings


@contextlib.contextmanager
def _bench() -> Iterator[Bench]:
    with (
        scratch_directory("streams") as scratch,
        system_beside(S3Server, "AWS_ENDPOINT_URL", scratch) as (live, server),
    ):
        yield Bench(live, server.url, scratch / "journal")


class Bench:
    """Tables with streams that are mapped to the clock."""

    def __init__(self, live: LiveSystem, url: str, journal: Path) -> None:
        self._live = live
        self._clock = QueueClock(live, journal)
        self._numbers = itertools.count()
        self._dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
        )

    def run(self, findings: Findings, records: int, batch_size: int) -> None:
        """Records per second of a mapping over a stream that is full."""
        table, arn = self._table()
        for start in range(0, records, ITEMS_A_WRITE):
            puts = [
                {"PutRequest": {"Item": self._item()}} for _ in range(min(ITEMS_A_WRITE, records - start))
            ]
            self._dynamodb.batch_write_item(RequestItems={table: puts})
        self._clock.clear()
        before = self._clock.cpu_seconds()
        with self._mapped(arn, BatchSize=batch_size):
            starts = self._clock.starts(records)
            cpu_ms = (self._clock.cpu_seconds() - before) / records * 1000
        findings.add(
            f"batch {batch_size}",
            records_per_second=round(records / elapsed_seconds(starts)),
            cpu_ms_per_record=round(cpu_ms, 3),
            runs=len(starts),
        )

    def latency(self, findings: Findings, records: int = 100) -> None:
        """From write to start, one by one."""
        table, arn = self._table()
        with self._mapped(arn):
            waits = self._clock.latencies_ms(
                lambda: self._dynamodb.put_item(TableName=table, Item=self._item()), records
            )
        add_latency(findings, "table stream", waits, LATENCY_PROMISE_MS)

    def _item(self) -> dict[str, Any]:
        return {"id": {"S": str(next(self._numbers))}, "text": TEXT}

    def _table(self) -> tuple[str, str]:
        """Name and stream ARN of a new table."""
        name = f"table-{next(self._numbers)}"
        made = self._dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        return name, made["TableDescription"]["LatestStreamArn"]

    def _mapped(self, arn: str, **parameters: Any) -> AbstractContextManager[None]:
        return mapped(self._live, arn, StartingPosition="TRIM_HORIZON", **parameters)
