"""An image is fetched and unpacked once, appears whole or not at all, and goes when nobody wants it."""

# ruff: noqa: ASYNC240  # a test may wait for its files

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from broker.errors import CodeCorrupt, CodeNotFound
from tests.container_images import Member, layer
from tests.waiting import until
from worker.image_cache import ImageCache

DIGEST = "d" * 64


class Layers:
    """Layers in memory, and how often they were asked for."""

    def __init__(self, *contents: bytes) -> None:
        self._contents = {hashlib.sha256(content).hexdigest(): content for content in contents}
        self.digests = list(self._contents)
        self.fetched = 0

    async def fetch_layer(self, digest: str, target: Path) -> None:
        self.fetched += 1
        if digest not in self._contents:
            raise CodeNotFound(digest)
        target.write_bytes(self._contents[digest])


async def test_layers_are_applied_in_order_once_for_all_who_ask(tmp_path: Path) -> None:
    layers = Layers(layer(Member("a", b"1"), Member("b")), layer(Member("a", b"2"), Member(".wh.b")))
    cache = ImageCache(tmp_path / "cache", layers)
    roots = await asyncio.gather(*(cache.root(DIGEST, layers.digests) for _ in range(5)))
    assert set(roots) == {tmp_path / "cache" / DIGEST}
    assert (roots[0] / "a").read_bytes() == b"2"
    assert not (roots[0] / "b").exists()
    assert await ImageCache(tmp_path / "cache", layers).root(DIGEST, layers.digests) == roots[0]
    assert layers.fetched == 2
    assert os.listdir(tmp_path / "cache") == [DIGEST]


async def test_what_cannot_be_unpacked_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    layers = Layers(layer(Member("a"), Member("a/b")))
    cache = ImageCache(tmp_path, layers)
    with pytest.raises(CodeCorrupt, match=f"image {DIGEST} cannot be unpacked: .*no directory"):
        await cache.root(DIGEST, layers.digests)
    with pytest.raises(CodeNotFound):
        await cache.root(DIGEST, ["0" * 64])
    assert os.listdir(tmp_path) == []


async def test_an_image_that_nobody_wants_goes(tmp_path: Path) -> None:
    layers = Layers(layer(Member("etc/a", b"1", 0o400)))
    cache = ImageCache(tmp_path, layers)
    await cache.root(DIGEST, layers.digests)
    await cache.evict({DIGEST}, 0)
    assert os.listdir(tmp_path) == [DIGEST]
    await cache.evict(set(), 0)
    assert os.listdir(tmp_path) == []


async def test_giving_up_stops_the_unpacking(tmp_path: Path) -> None:
    layers = Layers(layer(Member("a", bytes(1 << 20))))
    cache = ImageCache(tmp_path, layers)
    asking = asyncio.create_task(cache.root(DIGEST, layers.digests))
    await until(lambda: layers.fetched > 0)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert os.listdir(tmp_path) == []
