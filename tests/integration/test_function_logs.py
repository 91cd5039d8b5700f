"""Functions' logs on a real Redis: in order, bounded, and patient while Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from broker.errors import BrokerUnavailable
from broker.function_logs import FLUSH_BYTES, LogEvent, LogPage, RedisFunctionLogs
from tests.conftest import StartRedis
from tests.redis_server import RedisServer


@pytest.fixture
async def logs(redis_server: RedisServer, namespace: str) -> AsyncIterator[RedisFunctionLogs]:
    opened = RedisFunctionLogs(redis_server.url, namespace, kept_bytes=10_000, flush_seconds=0.01)
    await opened.start()
    yield opened
    await opened.close()


async def eventually(logs: RedisFunctionLogs, function_name: str, after: str = "") -> LogPage:
    page = await logs.read(function_name, after, wait_seconds=5)
    assert page.events, "nothing was stored in time"
    return page


async def test_what_is_appended_is_read_soon(logs: RedisFunctionLogs) -> None:
    before_ms = int(time.time() * 1000)
    logs.append("f", "stream-1", b"START\n")
    logs.append("f", "stream-1", b"gr\xc3\xbc\xc3\x9fe \xff\n")
    [event] = (await eventually(logs, "f")).events
    assert event.message == "START\ngrüße �\n"
    assert event.log_stream == "stream-1"
    assert before_ms <= event.time_ms <= int(time.time() * 1000)


async def test_a_reader_follows_with_the_cursor(logs: RedisFunctionLogs) -> None:
    logs.append("f", "s", b"one")
    first = await eventually(logs, "f")
    reading = asyncio.create_task(eventually(logs, "f", first.next))
    logs.append("f", "s", b"two")
    second = await reading
    assert [event.message for event in second.events] == ["two"]
    assert await logs.read("f", second.next) == LogPage((), next=second.next)


async def test_pages_do_not_overlap(logs: RedisFunctionLogs) -> None:
    for number in range(5):
        logs.append("f", f"s{number}", b"%d" % number)
    await eventually(logs, "f")
    seen: list[LogEvent] = []
    after = ""
    while (page := await logs.read("f", after, limit=2)).events:
        assert len(page.events) <= 2
        seen += page.events
        after = page.next
    assert [event.message for event in seen] == list("01234")


async def test_functions_do_not_read_each_other(logs: RedisFunctionLogs) -> None:
    logs.append("f", "s", b"for f")
    logs.append("g", "s", b"for g")
    await eventually(logs, "f")
    assert [event.message for event in (await eventually(logs, "g")).events] == ["for g"]
    assert await logs.read("h") == LogPage((), next="")


async def test_much_is_stored_without_waiting_for_the_clock(
    redis_server: RedisServer, namespace: str
) -> None:
    logs = RedisFunctionLogs(redis_server.url, namespace, flush_seconds=3600)
    await logs.start()
    logs.append("f", "s", b"x" * FLUSH_BYTES + b"\n")
    page = await eventually(logs, "f")
    assert "".join(event.message for event in page.events) == "x" * FLUSH_BYTES + "\n"
    await logs.close()


async def test_a_log_keeps_its_newest_bytes_only(logs: RedisFunctionLogs) -> None:
    after = ""
    for number in range(30):
        logs.append("f", "s", b"%04d" % number + b"x" * 996)
        after = (await eventually(logs, "f", after)).next
    kept = [event.message[:4] for event in (await logs.read("f")).events]
    assert kept == [f"{number:04}" for number in range(30 - len(kept), 30)]
    assert 8 <= len(kept) <= 10


async def test_a_log_does_not_live_for_ever(logs: RedisFunctionLogs) -> None:
    logs.append("f", "s", b"x")
    await eventually(logs, "f")
    assert [await logs._client.ttl(key) > 0 for key in logs._keys("f")] == [True, True]


async def test_closing_stores_what_is_left(redis_server: RedisServer, namespace: str) -> None:
    writer, reader = (RedisFunctionLogs(redis_server.url, namespace) for _ in range(2))
    await writer.start()
    await reader.start()
    writer.append("f", "s", b"last words")
    await writer.close()
    await writer.close()
    assert [event.message for event in (await reader.read("f")).events] == ["last words"]
    await reader.close()


async def test_a_deleted_log_is_gone(logs: RedisFunctionLogs) -> None:
    logs.append("f", "s", b"stored")
    await eventually(logs, "f")
    logs.append("f", "s", b"not stored yet")
    await logs.delete("f")
    assert await logs.read("f", wait_seconds=0.3) == LogPage((), next="")


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-", "+", "1-1\n", "(1-1"])
async def test_what_is_no_cursor_is_refused(logs: RedisFunctionLogs, cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor of a log"):
        await logs.read("f", cursor)


async def test_what_was_written_while_redis_was_away_is_not_lost(start_redis: StartRedis) -> None:
    server = start_redis("always")
    logs = RedisFunctionLogs(server.url)
    await logs.start()
    logs.append("f", "s", b"before")
    first = await eventually(logs, "f")
    server.kill()
    logs.append("f", "s", b"while away")
    with pytest.raises(BrokerUnavailable):
        await logs.read("f")
    server.start()
    assert [event.message for event in (await eventually(logs, "f", first.next)).events] == ["while away"]
    await logs.close()


async def test_closing_without_redis_gives_up_within_moments(start_redis: StartRedis) -> None:
    server = start_redis(None)
    logs = RedisFunctionLogs(server.url)
    await logs.start()
    server.kill()
    logs.append("f", "s", b"lost")
    async with asyncio.timeout(5):
        await logs.close()
