"""Code is fetched once, appears whole or not at all, and survives siblings that share the directory."""

# ruff: noqa: ASYNC221, ASYNC240  # a test may wait for its files

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from broker.code_store import CodeStore
from broker.errors import CodeCorrupt, CodeNotFound
from broker.settings import Settings
from tests.deployment_packages import package
from worker.code_cache import CodeCache

PACKAGE = package({"app.py": b"print('hello')", "lib/x.py": b"", "bootstrap": b"#!/bin/sh\necho ran\n"})


class CountedStore:
    """A real code store that counts how often it was asked."""

    def __init__(self, directory: Path) -> None:
        url = f"file://{directory}"
        self._store = CodeStore(Settings(redis_url="", data_dir=directory, code_store_url=url))
        self.put = self._store.put
        self.reads = 0

    async def get(self, digest: str) -> bytes:
        self.reads += 1
        return await self._store.get(digest)


@pytest.fixture
def store(tmp_path: Path) -> CountedStore:
    return CountedStore(tmp_path / "store")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def test_code_is_unpacked_ready_to_run(store: CountedStore, directory: Path) -> None:
    digest = await store.put(PACKAGE)
    root = await CodeCache(directory, store).task_root(digest)
    assert root == directory / digest
    assert (root / "app.py").read_bytes() == b"print('hello')"
    assert subprocess.check_output([root / "bootstrap"]) == b"ran\n"


async def test_other_users_may_use_the_code_but_not_list_or_change_it(
    store: CountedStore, directory: Path
) -> None:
    root = await CodeCache(directory, store).task_root(await store.put(PACKAGE))
    assert stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0o011
    assert stat.S_IMODE(root.stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "app.py").stat().st_mode) == 0o444


async def test_concurrent_callers_cause_one_fetch(store: CountedStore, directory: Path) -> None:
    digest = await store.put(PACKAGE)
    cache = CodeCache(directory, store)
    roots = await asyncio.gather(*(cache.task_root(digest) for _ in range(20)))
    assert set(roots) == {directory / digest}
    assert store.reads == 1


async def test_what_is_on_disk_is_not_fetched_again(store: CountedStore, directory: Path) -> None:
    digest = await store.put(PACKAGE)
    await CodeCache(directory, store).task_root(digest)
    await CodeCache(directory, store).task_root(digest)
    assert store.reads == 1


async def test_processes_that_unpack_the_same_code_do_not_disturb_each_other(
    store: CountedStore, directory: Path
) -> None:
    digest = await store.put(PACKAGE)
    caches = [CodeCache(directory, store) for _ in range(8)]
    assert set(await asyncio.gather(*(cache.task_root(digest) for cache in caches))) == {directory / digest}
    assert store.reads == 8
    assert [path.name for path in directory.iterdir()] == [digest]
    assert sorted(path.name for path in (directory / digest).iterdir()) == ["app.py", "bootstrap", "lib"]


async def test_unknown_code_is_not_found_and_found_once_it_is_stored(
    store: CountedStore, directory: Path
) -> None:
    cache = CodeCache(directory, store)
    digest = hashlib.sha256(PACKAGE).hexdigest()
    with pytest.raises(CodeNotFound):
        await cache.task_root(digest)
    await store.put(PACKAGE)
    assert (await cache.task_root(digest)).is_dir()


async def test_a_package_that_cannot_be_unpacked_leaves_nothing(store: CountedStore, directory: Path) -> None:
    digest = await store.put(package({"good.py": b"x", "../evil": b"x"}))
    with pytest.raises(CodeCorrupt, match=f"code {digest} cannot be unpacked: .*outside of the package"):
        await CodeCache(directory, store).task_root(digest)
    assert list(directory.iterdir()) == []


async def test_a_cancelled_caller_leaves_the_code_to_the_others(store: CountedStore, directory: Path) -> None:
    digest = await store.put(PACKAGE)
    cache = CodeCache(directory, store)
    impatient, patient = (asyncio.create_task(cache.task_root(digest)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).is_dir()
    assert store.reads == 1


async def test_evicting_keeps_what_it_is_told_to(store: CountedStore, directory: Path) -> None:
    cache = CodeCache(directory, store)
    await cache.evict(set(), 0)  # before there is a directory
    old, kept = await store.put(PACKAGE), await store.put(package({"other.py": b""}))
    await cache.task_root(old)
    await cache.task_root(kept)
    await cache.evict({kept}, unwanted_seconds=0)
    assert [path.name for path in directory.iterdir()] == [kept]
    assert (await cache.task_root(old)).is_dir()
    assert store.reads == 3


async def test_several_processes_may_evict_at_once(store: CountedStore, directory: Path) -> None:
    for number in range(10):
        digest = await store.put(package({f"{number}.py": b""}))
        await CodeCache(directory, store).task_root(digest)
    await asyncio.gather(*(CodeCache(directory, store).evict(set(), 0) for _ in range(4)))
    assert list(directory.iterdir()) == []


async def test_code_that_was_wanted_of_late_may_still_run_and_stays(
    store: CountedStore, directory: Path
) -> None:
    cache = CodeCache(directory, store)
    fresh, asked_for, kept, unwanted = [
        (await cache.task_root(await store.put(package({f"{number}.py": b""})))) for number in range(4)
    ]
    for path in (asked_for, kept, unwanted):
        os.utime(path, (0, 0))
    await cache.task_root(asked_for.name)
    await cache.evict({kept.name})
    assert set(directory.iterdir()) == {fresh, asked_for, kept}
    await cache.evict(set())
    assert set(directory.iterdir()) == {fresh, asked_for, kept}


async def test_evicting_removes_what_a_crash_left_long_ago_but_nothing_under_way(
    store: CountedStore, directory: Path
) -> None:
    abandoned, under_way = directory / "unfinished-1", directory / "unfinished-2"
    for path in (abandoned, under_way):
        (path / "lib").mkdir(parents=True)
        (path / "lib").chmod(0o555)
    os.utime(abandoned, (0, 0))
    await CodeCache(directory, store).evict(set())
    assert [path.name for path in directory.iterdir()] == [under_way.name]
