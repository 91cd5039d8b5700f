"""What a function's init imported of the runtime's own modules, for its worker to learn from.

It runs in the function's process, after the function's code: the worker believes nothing of it.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import types
from collections.abc import Iterable, Mapping, Sequence

STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
FOREIGN = ("site-packages", "dist-packages")
"""Below the standard library, but no part of it."""
BUILT_IN = ("built-in", "frozen")
REPORT_BYTES = 65_536


class InitImports:
    """From now on, in this process; `library` is where the runtime's packages are, `variables` are its
    environment."""

    def __init__(self, library: str, variables: Mapping[str, str]) -> None:
        self._library = library
        self._variables = variables
        self._last = next(reversed(sys.modules))

    def report(self) -> bytes:
        """JSON: `modules` that came, `changed` names of environment variables. Empty where there is nothing
        to tell, or too much."""
        try:
            modules = modules_of_runtime(self._came(), runtime_places(self._library))
            if not modules:
                return b""
            body = json.dumps({"modules": modules, "changed": self._changed()}).encode()
        except Exception:
            # The function may have put anything in our way, and is not to fail for it.
            return b""
        return body if len(body) <= REPORT_BYTES else b""

    def _came(self) -> list[str]:
        """From the end: a look at every module would copy the memory of their names."""
        return list(itertools.takewhile(lambda name: name != self._last, reversed(sys.modules)))

    def _changed(self) -> list[str]:
        before, after = self._variables, dict(os.environ)
        return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def runtime_places(library: str) -> tuple[str, ...]:
    """Where modules of the runtime lie: prefixes of their files."""
    return (STANDARD_LIBRARY, library + os.sep) if library else (STANDARD_LIBRARY,)


def modules_of_runtime(names: Iterable[str], places: Sequence[str]) -> list[str]:
    """Those of the loaded modules that are the runtime's, sorted: packages come before what is in them."""
    return sorted(name for name in names if _is_of_runtime(name, sys.modules.get(name), places))


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
