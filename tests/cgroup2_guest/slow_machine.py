"""A plugin for pytest in the guest, whose emulated processors are slow.

Functions get an empty runtime library: copying boto3 for each test would take longer than the test. A zygote
may take its time to start, and a process to end after its runtime has hung up.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.environments import process_environment, process_factory
from worker.sandbox import zygote_connection

HANG_UP_SECONDS = 20.0
LAUNCH_SECONDS = 300.0


def _prepare_nothing(directory: Path) -> Path:
    empty = directory / "current"
    empty.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    return empty


@pytest.fixture(autouse=True, scope="session")
def slow_machine() -> None:
    vars(process_factory)["prepare_library"] = _prepare_nothing
    assert process_environment.HANG_UP_SECONDS < HANG_UP_SECONDS
    vars(process_environment)["HANG_UP_SECONDS"] = HANG_UP_SECONDS
    assert zygote_connection.LAUNCH_SECONDS < LAUNCH_SECONDS
    vars(zygote_connection)["LAUNCH_SECONDS"] = LAUNCH_SECONDS
