"""The Redis that `lightswitch up` brings along: durable, on a private unix socket, no port."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from deploy.data_dir import DataDir, private_directory, write_atomically
from deploy.errors import DeployError
from deploy.redis_binary import RedisBinary

POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A server over `data_dir`/redis, listening on `socket`; the supervisor runs its `command`."""

    binary: RedisBinary
    data_dir: DataDir
    socket: Path

    @property
    def log_file(self) -> Path:
        return self.data_dir.logs / "redis.log"

    @property
    def configuration_file(self) -> Path:
        return self.data_dir.redis / "redis.conf"

    @property
    def command(self) -> tuple[str, ...]:
        return (str(self.binary.path), str(self.configuration_file))

    def prepare(self) -> None:
        """Make directories and configuration. Raises DeployError where a newer server wrote the data."""
        private_directory(self.data_dir.redis)
        private_directory(self.socket.parent)
        if self.binary.version < (7, 0, 0) and (self.data_dir.redis / "appendonlydir").exists():
            raise DeployError(  # an older server would not see those files, and start empty
                f"{self.data_dir.redis} was written by Redis 7 or newer, but {self.binary.path} is "
                f"{self.binary.version_text}; put the newer server on PATH"
            )
        write_atomically(self.configuration_file, self.configuration().encode(), mode=0o600)

    def configuration(self) -> str:
        """The configuration file: every write is on disk before it is acknowledged."""
        return "\n".join(
            (
                "port 0",
                f"unixsocket {_quoted(self.socket)}",
                "unixsocketperm 700",
                f"dir {_quoted(self.data_dir.redis)}",
                "daemonize no",
                "appendonly yes",
                "appendfsync always",
                "aof-load-truncated yes",
                'save ""',
                "maxmemory-policy noeviction",
                "client-output-buffer-limit pubsub 0 0 0",
                "loglevel notice",
                f"logfile {_quoted(self.log_file)}",
                "",
            )
        )

    async def wait_until_ready(self) -> None:
        """Return when it answers and has loaded its data. Cancel it to stop waiting."""
        while not await answers(self.socket):  # noqa: ASYNC110 - another process, it has no event for us
            await asyncio.sleep(POLL_SECONDS)


async def answers(socket: Path) -> bool:
    """Does a Redis that has loaded its data listen on `socket`?"""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")  # `-LOADING` while it reads its data
    except OSError:
        return False
    finally:
        writer.close()


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
