"""One partition's records: in order, whatever fails."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broker.caller import Trace
from broker.invocation import Reply
from tests.waiting import until
from triggers.queues.kafka.lane import Lane
from triggers.queues.message import NotPlaced, QueueMessage
from triggers.queues.runs import BatchRuns
from triggers.queues.settings import QueueSettings

Fails = Callable[[list[str]], bool]


class Partition:
    """A lane at work, and all that it does."""

    def __init__(self, fails: Fails, most_failures: float = 3, refusals: int = 0, **settings: Any) -> None:
        self.batches: list[list[str]] = []
        self.settled: list[str] = []
        self.set_aside: list[str] = []
        self.reports: list[str] = []
        self.refusals = refusals
        self._fails = fails
        chosen = QueueSettings(url="kafka://h", queue="t", retry_delay_seconds=0.01, **settings)
        runs = BatchRuns(chosen, self._event, self._invoke, self.reports.append, in_order=True)
        self.lane = Lane(chosen, most_failures, runs, asyncio.Semaphore(1), self, self.reports.append)

    def send(self, *bodies: str) -> None:
        for number, body in enumerate(bodies):
            self.lane.add(QueueMessage(body.encode(), f"t-0:{number}", None))

    def settle(self, messages: Sequence[QueueMessage]) -> None:
        self.settled += [message.body.decode() for message in messages]

    async def dead_letter(self, message: QueueMessage, reason: str) -> str:
        if self.refusals:
            self.refusals -= 1
            raise NotPlaced("no room")
        self.set_aside.append(message.body.decode())
        return "the attic"

    def _event(self, messages: Sequence[QueueMessage]) -> object:
        self.batches.append([message.body.decode() for message in messages])
        return {}

    async def _invoke(self, payload: bytes, trace: Trace) -> Reply:
        return Reply("id", b"null", "Unhandled" if self._fails(self.batches[-1]) else "")


@asynccontextmanager
async def at_work(partition: Partition) -> AsyncIterator[None]:
    task = asyncio.create_task(partition.lane.run())
    try:
        yield
    finally:
        partition.lane.stop()
        task.cancel()
        await asyncio.wait({task})


async def test_after_a_failed_batch_each_record_runs_alone_and_in_order() -> None:
    partition = Partition(lambda batch: "bad" in batch, batch_size=3)
    partition.send("a", "bad", "b", "c", "d")
    async with at_work(partition):
        await until(lambda: len(partition.settled) == 5)
    assert partition.batches == [["a", "bad", "b"], ["a"], ["bad"], ["bad"], ["b"], ["c", "d"]]
    assert partition.settled == ["a", "bad", "b", "c", "d"]
    assert partition.set_aside == ["bad"]
    assert any("went to the attic" in report for report in partition.reports)


async def test_nobody_is_set_aside_for_anothers_failure() -> None:
    partition = Partition(lambda batch: "bad" in batch, most_failures=1, batch_size=3)
    partition.send("a", "bad", "b")
    async with at_work(partition):
        await until(lambda: len(partition.settled) == 3)
    assert partition.set_aside == ["bad"]


async def test_what_cannot_be_set_aside_yet_holds_its_partition_and_runs_no_more() -> None:
    partition = Partition(lambda batch: "bad" in batch, most_failures=1, refusals=2)
    partition.send("bad", "b")
    async with at_work(partition):
        await until(lambda: partition.settled == ["bad", "b"])
    assert partition.batches == [["bad"], ["b"]]


async def test_without_a_place_aside_a_record_runs_until_it_succeeds() -> None:
    partition: Partition = Partition(lambda _: len(partition.batches) < 8, most_failures=math.inf)
    partition.send("stubborn", "next")
    async with at_work(partition):
        await until(lambda: partition.settled == ["stubborn", "next"], 20)
    assert partition.batches == [["stubborn"]] * 8 + [["next"]]


async def test_what_is_too_large_even_alone_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.queues.runs.MOST_PAYLOAD_BYTES", 1)
    partition = Partition(lambda batch: False, batch_size=2)
    partition.send("a", "b")
    async with at_work(partition):
        await until(lambda: partition.settled == ["a", "b"])
    assert partition.set_aside == ["a", "b"]
