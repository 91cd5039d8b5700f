"""Google's own in-memory Pub/Sub server, built from its Go module."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.download_cache import filling_cache
from tests.web_server import Unavailable, WebServer

SOURCE = Path(__file__).parent
BUILT_WITHIN_SECONDS = 300
PROJECT = "shop"


class PubSubServer(WebServer):
    """Speaks gRPC at `place`. What it holds is gone when it stops."""

    name = "pubsub"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [str(_built()), str(self.port)]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _built() -> Path:
    """The program, built once and kept. Raises Unavailable."""
    go = shutil.which("go")
    if go is None:
        raise Unavailable("no go on the PATH to build Pub/Sub's server with")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    with filling_cache("go") as cache:
        program = cache / "pubsub-server"
        build = [go, "build", "-p", "1", "-ldflags=-s -w", "-o", str(program), "."]
        done = subprocess.run(
            build,
            cwd=SOURCE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILT_WITHIN_SECONDS,
        )
        if done.returncode:
            raise Unavailable(f"Pub/Sub's server cannot be built: {done.stderr[-300:]}")
        return program
