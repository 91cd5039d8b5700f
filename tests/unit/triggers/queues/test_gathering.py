"""Entries that are settled together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from broker.errors import BrokerUnavailable
from triggers.queues.gathering import Gathering


class Server:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.may_answer = asyncio.Semaphore(0)
        self.is_away = False

    async def settle(self, entries: Sequence[bytes]) -> None:
        self.asked.append(list(entries))
        await self.may_answer.acquire()
        if self.is_away:
            raise BrokerUnavailable("away")


async def test_what_comes_while_a_request_is_under_way_goes_into_the_next() -> None:
    server = Server()
    gathering = Gathering(server.settle)
    first = asyncio.create_task(gathering.add([b"a"]))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(gathering.add([entry])) for entry in (b"b", b"c")]
    await asyncio.sleep(0.01)
    server.may_answer.release()
    await first
    assert not any(task.done() for task in others)
    server.may_answer.release()
    await asyncio.gather(*others)
    assert server.asked == [[b"a"], [b"b", b"c"]]


async def test_everybody_hears_of_a_failure_and_the_next_request_is_another() -> None:
    server = Server()
    gathering = Gathering(server.settle)
    server.is_away = True
    server.may_answer.release()
    failed = await asyncio.gather(gathering.add([b"a"]), gathering.add([b"b"]), return_exceptions=True)
    assert [type(error) for error in failed] == [BrokerUnavailable] * 2
    server.is_away = False
    server.may_answer.release()
    await gathering.add([b"c"])
    assert server.asked == [[b"a", b"b"], [b"c"]]


async def test_who_is_cancelled_has_its_entries_settled_all_the_same() -> None:
    server = Server()
    gathering = Gathering(server.settle)
    adding = asyncio.create_task(gathering.add([b"a"]))
    await asyncio.sleep(0.01)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    server.may_answer.release()
    async with asyncio.timeout(5):
        await gathering.idle()
    assert server.asked == [[b"a"]]
