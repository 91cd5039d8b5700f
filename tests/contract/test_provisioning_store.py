"""What every provisioning store does: it knows who is there and what each said last."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.provisioning.interface import ProvisioningStore
from broker.provisioning.memory_store import MemoryProvisioningStore
from broker.provisioning.model import Announcement, Holding
from broker.provisioning.redis_store import RedisProvisioningStore
from tests.waiting import until_async

MINUTE_MS = 60_000


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[ProvisioningStore]:
    made: ProvisioningStore = MemoryProvisioningStore()
    if request.param == "redis":
        made = RedisProvisioningStore(request.getfixturevalue("redis_server").url, namespace)
    await made.start()
    yield made
    await made.close()


def said(worker: str, initialised: int = 1) -> Announcement:
    return Announcement(
        worker, 4096, ("python3.12", "nodejs20.x"), (Holding("f:1:rev", initialised, 0, "put-1", "why"),)
    )


async def test_who_announces_hears_of_all_that_are_there(store: ProvisioningStore) -> None:
    assert list(await store.announce(said("a"), MINUTE_MS)) == [said("a")]
    heard = await store.announce(said("b"), MINUTE_MS)
    assert sorted(heard, key=lambda one: one.worker) == [said("a"), said("b")]
    assert len(await store.announcements()) == 2


async def test_what_a_worker_says_replaces_what_it_said_before(store: ProvisioningStore) -> None:
    await store.announce(said("a"), MINUTE_MS)
    assert list(await store.announce(said("a", 5), MINUTE_MS)) == [said("a", 5)]


async def test_who_withdraws_is_gone_at_once(store: ProvisioningStore) -> None:
    await store.announce(said("a"), MINUTE_MS)
    await store.withdraw("a")
    await store.withdraw("a")
    assert list(await store.announcements()) == []


async def test_who_falls_silent_lapses(store: ProvisioningStore) -> None:
    await store.announce(said("silent"), 1)

    async def alone() -> bool:
        return list(await store.announce(said("b"), MINUTE_MS)) == [said("b")]

    await until_async(alone)
    assert list(await store.announcements()) == [said("b")]
