"""Fixtures that several suites share: a real Redis, fresh namespaces on it, an object store."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.kafka_server import KafkaServer
from tests.rabbitmq_server import RabbitmqServer
from tests.rabbitmq_server import find_server as find_rabbitmq
from tests.redis_server import AppendFsync, RedisServer, find_server
from tests.s3_server import S3Server
from tests.web_server import running


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The product runs on uvloop, so its tests do."""
    return {"uvloop": uvloop.new_event_loop}


StartRedis = Callable[[AppendFsync | None], RedisServer]


@pytest.fixture(scope="session")
def redis_executable() -> str:
    """Path of a redis-server; without one, tests skip here and fail in continuous integration."""
    executable = find_server()
    if executable is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no redis-server or valkey-server on PATH")
    return executable


@pytest.fixture(scope="session")
def redis_server(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server in memory for the whole run; use `namespace` to be alone on it, and never kill it."""
    server = RedisServer(redis_executable, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start_redis(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """Start a server of one's own, to kill and restart: `start_redis("always")`, `None` for memory only."""
    servers: list[RedisServer] = []

    def start(appendfsync: AppendFsync | None) -> RedisServer:
        directory: Path = tmp_path_factory.mktemp("redis")
        servers.append(RedisServer(redis_executable, directory, appendfsync))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def namespace() -> str:
    """A key prefix that nothing else uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One object store for the whole run; make a bucket of your own."""
    with running(S3Server(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_script() -> Path:
    """RabbitMQ's start script; without it, tests skip here and fail in continuous integration."""
    script = find_rabbitmq()
    if script is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no RabbitMQ in /usr/lib/rabbitmq, or no Erlang on PATH")
    return script


@pytest.fixture(scope="session")
def rabbitmq_server(
    rabbitmq_script: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitmqServer]:
    """One node for the whole run; use queues of your own, and never stop it."""
    server = RabbitmqServer(rabbitmq_script, tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One broker for the whole run; use topics of your own, and never stop it."""
    with running(KafkaServer(tmp_path_factory.mktemp("kafka"))) as server:
        yield server
