"""Forks without what Python's modules do around each fork.

`os.fork` calls the hooks that `threading`, `logging` and others have registered: the child makes its locks
anew and forgets threads that it does not have. A zygote has one thread and holds no lock when it forks, so
all of that ends where it began, but not before parent and child have written to 170 pages, 70 of which
nothing else would write to: a tenth of what an idle environment weighs (Python 3.11). What a function forks
itself is forked by `os.fork`, hooks and all.
"""

from __future__ import annotations

import _random
import ctypes
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

Fork = Callable[[], int]
"""The child's pid, 0 in the child. Raises OSError."""

IDLE_HOOKS = frozenset({"concurrent.futures.thread", "logging", "random", "threading"})
"""Modules whose hooks have nothing to do in the child of a process with one thread; but chance is renewed."""


class BareFork:
    """Calls fork(2) of libc. For processes that have one thread and no other hooks than `IDLE_HOOKS`."""

    def __init__(self) -> None:
        # The interpreter's lock stays held, as it does in `os.fork`.
        self._fork = ctypes.PyDLL(None, use_errno=True).fork
        chance: Any = random.seed
        self._renew_chance = partial(_random.Random.seed, chance.__self__)

    def __call__(self) -> int:
        """A Fork."""
        pid: int = self._fork()
        if pid < 0:
            number = ctypes.get_errno()
            raise OSError(number, "fork: " + os.strerror(number))
        if pid == 0:
            self._renew_chance()
        return pid


@contextmanager
def noted_hooks() -> Iterator[set[str]]:
    """Names of the modules that register hooks within the block."""
    names: set[str] = set()
    register = os.register_at_fork

    def note(**hooks: Any) -> None:
        names.add(sys._getframe(1).f_globals.get("__name__", ""))
        register(**hooks)

    os.register_at_fork = note
    try:
        yield names
    finally:
        os.register_at_fork = register


def fitting_fork(hooked: set[str]) -> Fork:
    """How this process can be forked, now that the modules `hooked` have registered hooks."""
    return os.fork if hooked - IDLE_HOOKS or threading.active_count() > 1 else BareFork()
