"""versitygw for tests: a real S3 gateway over a folder, built with Go into a cache outside the repository."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.7.0"
ACCESS_KEY, SECRET_KEY = "root", "root-secret-of-tests"
BUILT_WITHIN_SECONDS = 300


def build() -> Path | str:
    """The program, or why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightswitch-tests"
    program = cache / f"versitygw-{VERSION}" / "versitygw"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        return "versitygw is not built, and there is no Go to build it with"
    environ = {**os.environ, "GOBIN": str(program.parent)}
    try:
        subprocess.run(
            [go, "install", f"{MODULE}@{VERSION}"],
            env=environ,
            check=True,
            capture_output=True,
            timeout=BUILT_WITHIN_SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as error:
        return f"versitygw cannot be built: {error}"
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class VersityGateway:
    """One gateway over `directory`; `start` when the webhook can answer."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._log = directory / "versitygw.log"
        self._port = free_port()
        self.root = directory / "buckets"
        self._attributes = directory / "attributes"
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, webhook_url: str) -> None:
        self.root.mkdir(exist_ok=True)
        self._attributes.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "posix", "--sidecar", self._attributes, self.root],
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "ROOT_ACCESS_KEY": ACCESS_KEY,
                    "ROOT_SECRET_KEY": SECRET_KEY,
                    "VGW_PORT": f"127.0.0.1:{self._port}",
                    "VGW_EVENT_WEBHOOK_URL": webhook_url,
                },
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"versitygw did not start: {self._log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True
