"""Where tests keep what they download and build, outside the repository."""

from __future__ import annotations

import os
from pathlib import Path


def download_cache(name: str) -> Path:
    """A directory that outlives the test run: below $LIGHTSWITCH_TEST_CACHE or ~/.cache/lightswitch-tests."""
    base = os.environ.get("LIGHTSWITCH_TEST_CACHE") or Path.home() / ".cache" / "lightswitch-tests"
    directory = Path(base) / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
