"""A plugin for pytest in the guest: functions get an empty runtime library.

Copying boto3 for each test takes an emulated processor longer than the test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.environments import process_factory


def _prepare_nothing(directory: Path) -> Path:
    empty = directory / "current"
    empty.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    return empty


@pytest.fixture(autouse=True, scope="session")
def quick_library() -> None:
    vars(process_factory)["prepare_library"] = _prepare_nothing
