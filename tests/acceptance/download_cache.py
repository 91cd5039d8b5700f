"""Where tests keep what they download and build, outside the repository."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def download_cache(name: str) -> Path:
    """A directory that outlives the test run: below $LIGHTSWITCH_TEST_CACHE or ~/.cache/lightswitch-tests."""
    base = os.environ.get("LIGHTSWITCH_TEST_CACHE") or Path.home() / ".cache" / "lightswitch-tests"
    directory = Path(base) / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def filling_cache(name: str, part: str = "all") -> Iterator[Path]:
    """The directory `name`, while no other test process fills this part of it."""
    directory = download_cache(name)
    with directory.with_name(f"{name}.{part}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory
