"""Code goes when its last version goes, and not a version sooner."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import msgspec

from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord
from tests.deployment_packages import package
from tests.waiting import until
from worker.code_cache import CodeCache
from worker.code_sweep import sweep_code, wanted_digests


class Packages:
    """Packages by digest, each with the one file that its name says."""

    def __init__(self, *names: str) -> None:
        self._packages = {hashlib.sha256(made).hexdigest(): made for made in map(self._make, names)}
        self.digests = list(self._packages)

    async def get(self, digest: str) -> bytes:
        return self._packages[digest]

    def _make(self, name: str) -> bytes:
        return package({name: b""})


def version(digest: str, number: str = "$LATEST") -> FunctionConfig:
    code_sha256 = base64.b64encode(bytes.fromhex(digest)).decode()
    return FunctionConfig(number, "python3.11", "a.b", "role", code_sha256, 0, "", "")


async def test_all_versions_of_all_functions_want_their_code() -> None:
    latest, published, other = Packages("a", "b", "c").digests
    registry = MemoryRegistry()
    await registry.create(FunctionRecord("f", 0, version(latest), {"1": version(published, "1")}))
    await registry.create(FunctionRecord("g", 0, version(other)))
    assert await wanted_digests(registry) == {latest, published, other}


async def test_a_sweep_removes_the_code_of_no_function_only(tmp_path: Path) -> None:
    packages = Packages("wanted", "unwanted")
    cache = CodeCache(tmp_path / "cache", packages)
    wanted, unwanted = [await cache.task_root(digest) for digest in packages.digests]
    registry = MemoryRegistry()
    record = await registry.create(FunctionRecord("f", 0, version(unwanted.name)))
    await registry.update("f", lambda _: msgspec.structs.replace(record, latest=version(wanted.name)))
    for path in (wanted, unwanted):
        os.utime(path, (0, 0))
    sweeping = asyncio.create_task(sweep_code([cache], registry))
    await until(lambda: not unwanted.exists())
    assert wanted.is_dir()
    sweeping.cancel()
