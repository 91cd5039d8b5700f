"""What every layer store does: versions are numbered, never change, and their numbers never come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from msgspec.structs import replace

from broker.layer_store.interface import LayerStore, LayerVersion
from broker.layer_store.memory_store import MemoryLayerStore
from broker.layer_store.redis_store import RedisLayerStore
from broker.registry.model import Policy

LAYER = LayerVersion(
    name="tools",
    version=0,
    code_sha256="q83v",
    code_size=10,
    unzipped_bytes=20,
    created="2026-11-23T09:30:00.000+0000",
    description="first",
    compatible_runtimes=("python3.11",),
)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[LayerStore]:
    made: LayerStore = MemoryLayerStore()
    if request.param == "redis":
        made = RedisLayerStore(request.getfixturevalue("redis_server").url, namespace)
    await made.start()
    yield made
    await made.close()


async def test_versions_are_numbered_and_keep_what_was_published(store: LayerStore) -> None:
    first = await store.publish(LAYER)
    second = await store.publish(replace(LAYER, description="second"))
    assert (first.version, second.version) == (1, 2)
    assert await store.get("tools", 1) == replace(LAYER, version=1)
    assert await store.versions("tools") == [second, first]


async def test_publishers_at_the_same_moment_get_numbers_of_their_own(store: LayerStore) -> None:
    published = await asyncio.gather(*(store.publish(LAYER) for _ in range(8)))
    assert sorted(layer.version for layer in published) == list(range(1, 9))


async def test_the_number_of_a_deleted_version_never_comes_again(store: LayerStore) -> None:
    await store.publish(LAYER)
    await store.delete("tools", 1)
    await store.delete("tools", 1)
    assert await store.get("tools", 1) is None
    assert (await store.publish(LAYER)).version == 2


async def test_a_list_shows_the_newest_version_of_each_name_that_has_one(store: LayerStore) -> None:
    for name in ("tools", "tools", "gone", "art"):
        await store.publish(replace(LAYER, name=name))
    await store.delete("gone", 1)
    assert [(layer.name, layer.version) for layer in await store.latest()] == [("art", 1), ("tools", 2)]


async def test_nothing_is_known_of_names_that_were_never_published(store: LayerStore) -> None:
    assert await store.get("nothing", 1) is None
    assert await store.versions("nothing") == []
    assert await store.latest() == []


async def test_changes_of_a_policy_at_the_same_moment_are_all_kept(store: LayerStore) -> None:
    await store.publish(LAYER)

    def add(number: int) -> Callable[[Policy | None], Policy]:
        def change(policy: Policy | None) -> Policy:
            statements = policy.statements if policy else {}
            return Policy(str(number), {**statements, str(number): msgspec.Raw(b"{}")})

        return change

    await asyncio.gather(*(store.change_policy("tools", 1, add(number)) for number in range(8)))
    layer = await store.get("tools", 1)
    assert layer is not None
    assert layer.policy is not None
    assert set(layer.policy.statements) == {str(number) for number in range(8)}
    changed = await store.change_policy("tools", 1, lambda _: None)
    assert changed == replace(LAYER, version=1) == await store.get("tools", 1)


async def test_a_version_that_is_not_there_has_no_policy_to_change(store: LayerStore) -> None:
    assert await store.change_policy("tools", 1, lambda _: Policy("1", {})) is None
    assert await store.get("tools", 1) is None


async def test_a_refused_change_of_a_policy_changes_nothing(store: LayerStore) -> None:
    await store.publish(LAYER)

    def refuse(policy: Policy | None) -> Policy:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.change_policy("tools", 1, refuse)
    assert await store.get("tools", 1) == replace(LAYER, version=1)
