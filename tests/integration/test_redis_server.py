"""The Redis fixture keeps its word: the other suites stand on it."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.conftest import StartRedis
from tests.redis_server import AppendFsync, RedisServer


def test_the_shared_server_answers(redis_server: RedisServer, namespace: str) -> None:
    with Redis.from_url(redis_server.url) as client:
        client.set(namespace, b"x")
        assert client.get(namespace) == b"x"


@pytest.mark.parametrize(("appendfsync", "kept"), [("always", b"x"), (None, None)])
def test_a_killed_server_comes_back_with_what_it_appended(
    start_redis: StartRedis, appendfsync: AppendFsync | None, kept: bytes | None
) -> None:
    server = start_redis(appendfsync)
    with Redis.from_url(server.url) as client:
        client.set("key", b"x")
        server.restart()
        assert client.get("key") == kept
