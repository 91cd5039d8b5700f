"""Code goes when nothing refers to it any more, after a grace, never while somebody is about to use it."""

from __future__ import annotations

import base64
import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.code_garbage import CodeGarbage
from broker.code_store import CodeStore
from broker.errors import CodeCorrupt, CodeNotFound
from broker.layer_store.interface import LayerVersion
from broker.layer_store.memory_store import MemoryLayerStore
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord, Image, LayerUse
from broker.settings import Settings

GRACE_SECONDS = 100.0


class System:
    """A store in a directory, functions and layers in memory, and a clock that is set by hand."""

    def __init__(self, directory: Path) -> None:
        settings = Settings(redis_url="", data_dir=directory, code_store_url=f"file://{directory}/code")
        self.store = CodeStore(settings)
        self.registry = MemoryRegistry()
        self.layers = MemoryLayerStore()
        self.ahead_seconds = 0.0

    async def sweep_after(self, seconds: float, registry: MemoryRegistry | None = None) -> None:
        """Let so much time pass, then sweep."""
        self.ahead_seconds += seconds
        garbage = CodeGarbage(
            self.store,
            registry or self.registry,
            self.layers,
            grace_seconds=GRACE_SECONDS,
            clock=lambda: time.time() + self.ahead_seconds,
        )
        await garbage.sweep()

    async def code(self, text: bytes) -> FunctionConfig:
        """A version whose package is stored."""
        return version(await self.store.put(text))


def version(digest: str, number: str = "$LATEST") -> FunctionConfig:
    return FunctionConfig(number, "python3.11", "a.b", "role", _base64(digest), 0, "", "")


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


async def test_code_of_a_deleted_function_goes_and_that_of_others_stays(system: System) -> None:
    kept, published, gone = [await system.code(text) for text in (b"kept", b"published", b"gone")]
    await system.registry.create(FunctionRecord("f", 0, kept, {"1": replace(published, version="1")}))
    await system.registry.create(FunctionRecord("g", 0, gone))
    await system.registry.delete("g")
    await system.sweep_after(GRACE_SECONDS + 1)
    assert await system.store.get(gone.code_digest) == b"gone"
    await system.sweep_after(2 * GRACE_SECONDS)
    with pytest.raises(CodeNotFound):
        await system.store.get(gone.code_digest)
    assert await system.store.get(kept.code_digest) == b"kept"
    assert await system.store.get(published.code_digest) == b"published"


async def test_code_that_was_just_stored_is_left_alone(system: System) -> None:
    await system.code(b"on its way")
    await system.sweep_after(GRACE_SECONDS / 2)
    assert len(await system.store.objects()) == 1


async def test_code_that_is_referred_to_again_is_taken_back(system: System) -> None:
    code = await system.code(b"wanted again")
    await system.sweep_after(GRACE_SECONDS + 1)
    assert await system.store.objects() == []
    await system.registry.create(FunctionRecord("f", 0, code))
    await system.sweep_after(10 * GRACE_SECONDS)
    assert [each.name for each in await system.store.objects()] == [f"{code.code_digest}.zip"]
    assert await system.store.waste() == []


async def test_code_that_is_stored_again_while_the_old_one_waits_to_be_deleted_is_not_lost(
    system: System,
) -> None:
    code = await system.code(b"deployed twice")
    await system.sweep_after(GRACE_SECONDS + 1)
    await system.code(b"deployed twice")
    await system.sweep_after(GRACE_SECONDS)
    await system.registry.create(FunctionRecord("f", 0, code))
    for _ in range(3):
        await system.sweep_after(2 * GRACE_SECONDS)
    assert await system.store.get(code.code_digest) == b"deployed twice"


async def test_a_layer_lives_as_long_as_it_is_published_or_a_function_has_it(system: System) -> None:
    digest = await system.store.put(b"layer")
    layer = LayerVersion("tools", 0, _base64(digest), 5, 5, "")
    old = await system.layers.publish(layer)
    other = replace(layer, code_sha256=_base64(await system.store.put(b"newer")))
    await system.layers.publish(other)
    await system.sweep_after(2 * GRACE_SECONDS)
    assert len(await system.store.objects()) == 2

    use = LayerUse("arn", old.code_sha256, 5, 5)
    config = await system.code(b"code")
    await system.registry.create(FunctionRecord("f", 0, replace(config, layers=(use,))))
    await system.layers.delete("tools", 1)
    await system.sweep_after(2 * GRACE_SECONDS)
    assert f"{digest}.zip" in {each.name for each in await system.store.objects()}
    await system.registry.delete("f")
    for _ in range(2):
        await system.sweep_after(2 * GRACE_SECONDS)
    with pytest.raises(CodeNotFound):
        await system.store.get(digest)
    assert await system.store.get(other.code_digest) == b"newer"


async def test_layers_of_images_go_with_the_last_image_that_has_them(system: System, tmp_path: Path) -> None:
    shared, own = [hashlib.sha256(text).hexdigest() for text in (b"shared", b"own")]
    for digest, text in ((shared, b"shared"), (own, b"own")):
        await system.store.put_layer(digest, io.BytesIO(text))
    image: Callable[..., FunctionConfig] = lambda *layers: replace(  # noqa: E731
        version("0" * 64), image=Image("oci:/x", "oci:/x", "0" * 64, layers)
    )
    await system.registry.create(FunctionRecord("f", 0, image(shared)))
    await system.registry.create(FunctionRecord("g", 0, image(shared, own)))
    await system.registry.delete("g")
    for _ in range(2):
        await system.sweep_after(2 * GRACE_SECONDS)
    await system.store.fetch_layer(shared, tmp_path / "shared")
    with pytest.raises(CodeNotFound):
        await system.store.fetch_layer(own, tmp_path / "own")


async def test_a_damaged_layer_goes_after_the_grace_though_a_function_has_it(
    system: System, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"layer").hexdigest()
    image = Image("oci:/x", "oci:/x", digest, (digest,))
    await system.registry.create(FunctionRecord("f", 0, replace(version(""), image=image)))
    await system.store.put_layer(digest, io.BytesIO(b"damaged"))
    with pytest.raises(CodeCorrupt):
        await system.store.fetch_layer(digest, tmp_path / "damaged")
    await system.store.put_layer(digest, io.BytesIO(b"layer"))

    await system.sweep_after(GRACE_SECONDS / 2)
    assert len(await system.store.damaged()) == 1
    await system.sweep_after(GRACE_SECONDS)
    assert await system.store.damaged() == []
    await system.store.fetch_layer(digest, tmp_path / "whole")


async def test_a_store_that_several_installations_use_is_left_as_it_is(system: System) -> None:
    await system.code(b"somebody's")
    await system.store.owners("another installation")
    for _ in range(3):
        await system.sweep_after(2 * GRACE_SECONDS)
    assert len(await system.store.objects()) == 1
    assert await system.store.waste() == []
