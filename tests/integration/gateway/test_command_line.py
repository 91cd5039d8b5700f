"""The AWS command line, unchanged, against the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.conftest import ARN, KEY, ROLE, RunningGateway, zipped

Aws = Callable[..., Any]


@pytest.fixture
def aws(gateway: RunningGateway, tmp_path: Path) -> Aws:
    """Run `aws lambda ...`; returns its JSON output, or fails with what it said."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": KEY.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key,
        "AWS_DEFAULT_REGION": gateway.settings.region,
        "AWS_ENDPOINT_URL_LAMBDA": gateway.url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
    program = [sys.executable, str(Path(sys.executable).with_name("aws")), "lambda"]

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [*program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_a_function_goes_through_its_life(aws: Aws, name: str, tmp_path: Path) -> None:
    package = tmp_path / "code.zip"
    package.write_bytes(zipped())
    created = aws(
        "create-function", "--function-name", name, "--runtime", "python3.12", "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{package}",
        "--environment", "Variables={STAGE=a}",
    )  # fmt: skip
    assert created["FunctionArn"] == f"{ARN}:{name}"
    aws("wait", "function-active-v2", "--function-name", f"{ARN}:{name}")
    assert aws("publish-version", "--function-name", name)["Version"] == "1"
    aws("create-alias", "--function-name", name, "--name", "live", "--function-version", "1")
    listed = aws("list-functions", "--max-items", "1")
    assert len(listed["Functions"]) == 1
    aws("delete-function", "--function-name", name)
    with pytest.raises(RuntimeError, match=r"ResourceNotFoundException.* Function not found: arn:aws:lambda"):
        aws("get-function", "--function-name", name)


def test_errors_are_told_as_usual(aws: Aws, name: str) -> None:
    with pytest.raises(
        RuntimeError, match=r"\(ValidationException\).*1 validation error detected: Value 'x'"
    ):
        aws("create-alias", "--function-name", name, "--name", "a", "--function-version", "x")
