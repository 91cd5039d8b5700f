"""What a function's init imported of the runtime's own modules, for its worker to learn from.

It runs in the function's process, after the function's code: the worker believes nothing of it.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Sequence

STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
FOREIGN = ("site-packages", "dist-packages")
"""Below the standard library, but no part of it."""
BUILT_IN = ("built-in", "frozen")
REPORT_BYTES = 65_536


class InitImports:
    """From now on, in this process; `library` is where the runtime's packages are."""

    def __init__(self, library: str) -> None:
        self._places = runtime_places(library)
        self._before = set(sys.modules)
        self._variables = dict(os.environ)

    def report(self) -> bytes:
        """JSON: `modules` that came, `changed` names of environment variables. Empty where there is nothing
        to tell, or too much."""
        try:
            modules = imported_since(self._before, self._places)
            after = dict(os.environ)
            names = {*self._variables, *after}
            changed = sorted(name for name in names if self._variables.get(name) != after.get(name))
            body = json.dumps({"modules": modules, "changed": changed}).encode()
        except Exception:
            # The function may have put anything in our way, and is not to fail for it.
            return b""
        return body if modules and len(body) <= REPORT_BYTES else b""


def runtime_places(library: str) -> tuple[str, ...]:
    """Where modules of the runtime lie: prefixes of their files."""
    return (STANDARD_LIBRARY, library + os.sep) if library else (STANDARD_LIBRARY,)


def imported_since(before: set[str], places: Sequence[str]) -> list[str]:
    """Modules that have come since and are the runtime's, sorted: what they import comes after them or with
    them, whoever imports first."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name not in before and _is_of_runtime(name, module, places)
    )


def _is_of_runtime(name: str, module: object, places: Sequence[str]) -> bool:
    if not isinstance(module, types.ModuleType):
        return False
    spec = module.__dict__.get("__spec__")
    origin = getattr(spec, "origin", None)
    if getattr(spec, "name", None) != name or not isinstance(origin, str):
        return False
    if origin in BUILT_IN:
        return True
    rest = next((origin[len(place) :] for place in places if origin.startswith(place)), "")
    return bool(rest) and rest.partition(os.sep)[0] not in FOREIGN
