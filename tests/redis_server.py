"""A real Redis for tests: an own server process on a unix socket, killed and restarted at will."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Literal

AppendFsync = Literal["always", "everysec"]


def find_server() -> str | None:
    """Path of the server to test with: `LIGHTSWITCH_TEST_REDIS_SERVER`, or what PATH offers."""
    chosen = os.environ.get("LIGHTSWITCH_TEST_REDIS_SERVER")
    return chosen or shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """One server process with its data in `directory`; memory only, unless `appendfsync` is given.

    `start` returns when the server answers. `kill` is `kill -9`; a later `start` loads what was appended.
    The server dies with the thread that started it.
    """

    def __init__(self, executable: str, directory: Path, appendfsync: AppendFsync | None = None) -> None:
        self._executable = executable
        self._directory = directory
        self._appendfsync = appendfsync
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_path = directory / "redis.sock"
        self.url = f"unix://{self.socket_path}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self, within_seconds: float = 10) -> None:
        """Start the process and wait until it has loaded its data."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis did not start: {(self._directory / 'redis.log').read_text()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash does. Nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Crash and come back."""
        self.kill()
        self.start()

    def _command(self) -> list[str]:
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        append = ["--appendonly", "yes", "--appendfsync", self._appendfsync] if self._appendfsync else []
        listen = ["--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700"]
        return [*guard, self._executable, *listen, "--dir", str(self._directory), "--save", "", *append]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.socket_path))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")
            except OSError:
                return False
