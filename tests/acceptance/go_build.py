"""Builds the handler of `guests/go_greeter`, written with aws-lambda-go, as a static program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.download_cache import filling_cache

SOURCE = Path(__file__).parent / "guests" / "go_greeter"


def built_greeter() -> bytes:
    """The program; skips the test where it cannot be built. What is downloaded and compiled is cached."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    fetched = subprocess.run([go, "mod", "download"], cwd=SOURCE, env=environment, capture_output=True)
    if fetched.returncode != 0:
        pytest.skip(f"aws-lambda-go cannot be downloaded: {fetched.stderr.decode()[-300:]}")
    with filling_cache("go") as cache:
        program = cache / "bootstrap"
        build = [go, "build", "-ldflags=-s -w", "-o", str(program), "."]
        subprocess.run(build, cwd=SOURCE, env=environment, check=True)
        return program.read_bytes()
