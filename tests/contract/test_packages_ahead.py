"""Packages that the operator has imported ahead: for functions that do not bring them, and no others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import levels, workbench_at
from worker.environments.interface import Succeeded
from worker.sandbox.levels import Level

USES = """
import sys
ahead = "boto3" in sys.modules
import boto3, os, six

def handler(event, context):
    return {
        "ahead": ahead,
        "file": boto3.__file__,
        "six": six.__file__,
        "services": len(boto3.session.Session().get_available_services()) > 100,
        "uid": os.getuid(),
    }
"""


OWN_SIX = Path(str(distribution("six").locate_file("six.py"))).read_text()


level = levels(Level.L3, Level.L2)


@pytest.fixture
async def bench(level: Level, tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench_at(level, tmp_path, packages=("boto3", "no_such_package")) as bench:
        yield bench


async def told(tried: Tried) -> Any:
    outcome = (await tried.run()).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def seen_once_imported(bench: Workbench, root: Path) -> Any:
    """The first environments come before the zygote with packages is up, and do not wait for it."""
    async with asyncio.timeout(30):
        while True:
            tried = await bench.start("app.handler", root)
            seen = await told(tried)
            await tried.environment.stop()
            if seen["ahead"]:
                return seen


async def test_packages_are_there_already_and_no_others(bench: Workbench) -> None:
    root = bench.code(app=USES)
    first = await told(await bench.start("app.handler", root))
    assert not first["ahead"]

    seen = await seen_once_imported(bench, root)

    assert {**seen, "uid": 0} == {**first, "ahead": True, "uid": 0}
    assert seen["file"] == "/var/runtime/boto3/__init__.py"
    assert seen["services"]
    assert seen["uid"] != 0
    assert any("no_such_package" in problem for problem in bench.factory.problems())


async def test_who_brings_one_of_them_gets_its_own(bench: Workbench) -> None:
    await seen_once_imported(bench, bench.code(app=USES))
    root = bench.code(app=USES, six=OWN_SIX)

    seen = await told(await bench.start("app.handler", root))

    assert not seen["ahead"]
    assert seen["six"] == "/var/task/six.py"


async def test_copies_with_snap_start_have_them(bench: Workbench) -> None:
    root = bench.code(app=USES)
    await seen_once_imported(bench, root)
    tried = bench.make("app.handler", root, snap_start=True)
    await tried.environment.start()

    assert (await told(tried))["ahead"]
