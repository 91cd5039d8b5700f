"""Every version of Python that AWS offers and this machine has runs functions, isolated like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from worker.environments.interface import HandlerFailed, Succeeded
from worker.sandbox.interpreters import find_interpreters
from worker.sandbox.levels import Level

FUNCTION = """
import os, sys, uuid
import boto3

initialized = uuid.uuid4().hex

def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    return {
        "version": list(sys.version_info[:2]),
        "uid": os.getuid(),
        "text": "é",
        "region": boto3.session.Session().region_name,
        "initialized": initialized,
        "request": context.aws_request_id[:8],
    }
"""


async def told(tried: Tried, event: Any = None) -> tuple[Any, bytes]:
    outcome = (await tried.run(json.dumps(event).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload), outcome.payload


def start(bench: Workbench, root: Path, version: str, *, snap_start: bool = False) -> Tried:
    return bench.make("app.handler", root, runtime=f"python{version}", snap_start=snap_start)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
async def test_functions_of_this_version_run_and_are_copied(version: str, tmp_path: Path) -> None:
    if version not in find_interpreters():
        pytest.skip(f"this machine has no Python {version}")
    async with workbench_at(Level.L3, tmp_path) as bench:
        root = bench.code(app=FUNCTION)
        tried = start(bench, root, version)
        await tried.environment.start()
        copies = [start(bench, root, version, snap_start=True) for _ in range(2)]
        for copy in copies:
            await copy.environment.start()

        seen, payload = await told(tried)
        first, second = [(await told(copy))[0] for copy in copies]
        failed = (await tried.run(b'"fail"')).outcome

    assert seen["version"] == [int(part) for part in version.split(".")]
    assert seen["uid"] != 0
    assert (seen["region"], seen["request"]) == ("eu-central-1", "7b1c9f5e")
    assert ("é".encode() in payload) == (version != "3.11")  # as AWS's runtimes write it
    assert first["initialized"] == second["initialized"] != seen["initialized"]
    assert isinstance(failed, HandlerFailed)
    assert failed.error_type == "ValueError"
