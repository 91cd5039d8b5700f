"""Records become batches by number, time and size."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec.structs import replace

from tests.unit.triggers.event_source_mapping.streams.records import record
from triggers.event_source_mapping.streams.record_buffer import MOST_PAYLOAD_BYTES, RecordBuffer
from triggers.event_source_mapping.streams.records import StreamRecord


def large(number: int) -> StreamRecord:
    return replace(record(number), body=msgspec.Raw(b'"' + b"x" * (MOST_PAYLOAD_BYTES // 2) + b'"'))


async def test_what_is_there_is_taken_at_once_up_to_the_batchs_size() -> None:
    buffer = RecordBuffer(2)
    for number in range(3):
        await buffer.put(record(number))
    assert await buffer.gather(0) == [record(0), record(1)]
    assert await buffer.gather(0) == [record(2)]


async def test_a_full_batch_does_not_wait_for_its_window() -> None:
    buffer = RecordBuffer(2)
    gathering = asyncio.create_task(buffer.gather(3600))
    await buffer.put(record(1))
    await buffer.put(record(2))
    async with asyncio.timeout(5):
        assert await gathering == [record(1), record(2)]


async def test_the_end_of_the_shard_ends_the_window() -> None:
    buffer = RecordBuffer(2)
    await buffer.put(record(1))
    await buffer.close()
    assert await buffer.gather(3600) == [record(1)]
    assert await buffer.gather(3600) is None


async def test_a_batch_is_no_larger_than_a_payload_may_be() -> None:
    buffer = RecordBuffer(10)
    await buffer.put(large(1))
    waiting = asyncio.create_task(buffer.put(large(2)))
    third = asyncio.create_task(buffer.put(large(3)))
    await asyncio.sleep(0)
    batch = await buffer.gather(0)
    assert batch is not None
    assert [each.sequence_number for each in batch] == ["1"]
    await waiting
    third.cancel()


async def test_the_producer_waits_while_two_batches_are_there() -> None:
    buffer = RecordBuffer(1)
    await buffer.put(record(1))
    await buffer.put(record(2))
    third = asyncio.create_task(buffer.put(record(3)))
    await asyncio.sleep(0.01)
    assert not third.done()
    assert await buffer.gather(0) == [record(1)]
    await third


async def test_nothing_comes_back_when_the_wait_is_over() -> None:
    assert await RecordBuffer(1).gather(0, wait_seconds=0.01) == []
