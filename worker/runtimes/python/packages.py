"""Packages of the runtime's library that a zygote imports, so that functions which use them need not."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.root import RUNTIME


def import_packages(isolation: Isolation, library: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Import them from where functions see the library: the top-level modules that came, and what failed.

    They are the platform's own files; nothing that a function brings is imported here.
    """
    if not names:
        return [], []
    try:
        _show_library(isolation, library)
    except OSError as error:
        return [], [f"no packages are imported ahead: {error}"]
    before, problems = set(sys.modules), []
    sys.path.append(RUNTIME)
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"package {name} is not imported ahead: {error}")
    sys.path.remove(RUNTIME)
    came = {name.partition(".")[0] for name in set(sys.modules) - before}
    return sorted(name for name in came if _is_of_library(name)), problems


def _show_library(isolation: Isolation, library: str) -> None:
    """At the place where functions see it, for us alone: modules remember where they came from."""
    if not isolation.own_root:
        raise OSError("functions need a root of their own for that")
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    isolation.kernel.unshare_mounts()
    isolation.kernel.bind(library, RUNTIME, read_only=True)


def _is_of_library(name: str) -> bool:
    module = sys.modules.get(name)
    return (getattr(module, "__file__", None) or "").startswith(RUNTIME + "/")
