"""Which modules a function brings itself: these are its own, whatever a zygote has imported."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=4096)
def brought_modules(task_root: Path, layers: Path | None, version: str) -> frozenset[str]:
    """Names of the top-level modules in its package and its layers, both of which never change; `version` is
    Python's."""
    places = [task_root]
    if layers is not None:
        places += [layers / "python", layers / "python" / "lib" / f"python{version}" / "site-packages"]
    return frozenset(name.partition(".")[0] for place in places for name in _listed(place))


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
