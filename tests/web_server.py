"""A program that serves HTTP for tests, on a free loopback port, for as long as it is wanted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest


class Unavailable(Exception):
    """It cannot be run on this machine; the text says why."""


class WebServer:
    """Answers at `url` from `start` until `stop`; it dies with the thread that started it."""

    name = "server"
    probe = "/"
    """A path that is answered, whatever the status, once it serves."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self._log = directory / f"{self.name}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What to run. May raise Unavailable."""
        raise NotImplementedError

    def variables(self) -> Mapping[str, str]:
        """What it finds in its environment beside ours."""
        return {}

    def start(self, within_seconds: float = 60) -> None:
        """Return when it answers. Raises Unavailable, and RuntimeError where it was run in vain."""
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*guard, *self.command()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.variables()},
            )
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start: {said}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def stop(self) -> None:
        """End it at once. Nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}{self.probe}", timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False
        return True


S = TypeVar("S", bound=WebServer)


@contextmanager
def running(server: S) -> Iterator[S]:
    """It serves meanwhile; a test whose server cannot be run on this machine skips with the reason."""
    try:
        server.start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield server
    finally:
        server.stop()
