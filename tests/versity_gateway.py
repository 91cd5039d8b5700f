"""versitygw for tests: a real S3 gateway over a folder, built with Go into a cache outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.web_server import WebServer

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


class VersityGateway(WebServer):
    """One gateway over folders of `directory`."""

    name = "versitygw"

    webhook_url = ""
    """Where its events go; must answer at the start."""

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(directory)
        self._program = program
        self.root = directory / "buckets"
        self._attributes = directory / "attributes"

    def command(self) -> Sequence[str]:
        self.root.mkdir(exist_ok=True)
        self._attributes.mkdir(exist_ok=True)
        return [str(self._program), "posix", "--sidecar", str(self._attributes), str(self.root)]

    def variables(self) -> Mapping[str, str]:
        return {
            "ROOT_ACCESS_KEY": ACCESS_KEY,
            "ROOT_SECRET_KEY": SECRET_KEY,
            "VGW_PORT": f"127.0.0.1:{self.port}",
            "VGW_EVENT_WEBHOOK_URL": self.webhook_url,
        }

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )
