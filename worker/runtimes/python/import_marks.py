"""What imports may leave behind in a process that its forks would not have, or should not have.

What a module does to itself and to other modules is as good in a fork as it is in a process of its own; what
it does to the process is not.
"""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import types
from typing import Any

from .renewal import shared_memory

Marks = dict[str, Any]
"""By what they are called in a complaint."""


def marks_of_process() -> Marks:
    """What breaks in forks, or is lost in them. Copies little memory of a process that was forked."""
    return {
        "open files": _open_files(),
        "threads": len(os.listdir("/proc/self/task")),
        "children": _has_children(),
        "shared memory": shared_memory(),
        "environment variables": dict(os.environ),
    }


def marks_of_interpreter() -> Marks:
    """What every function in this interpreter would see of it, whether or not it had imported the same."""
    return {
        "signal handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "the working directory": os.getcwd(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "sys.path": list(sys.path),
        "built-in names": sorted(vars(builtins)),
        "hooks": (sys.excepthook, sys.displayhook, sys.gettrace(), sys.getprofile()),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()),
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "the root logger": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "generators of chance": _generators_of_chance(),
        "numbers drawn by chance": random.getstate(),
        "holders of the main module": _holders_of_main(),
    }


def changes(before: Marks, after: Marks) -> list[str]:
    """What is different, by name."""
    return [name for name in before if before[name] != after[name]]


def _open_files() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink('/proc/self/fd/' + name)}")
        except OSError:
            continue  # the listing's own
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _generators_of_chance() -> int:
    """Each fork would go on with the same numbers; but the module's own, which begins anew in each."""
    kinds = [type(each) for each in gc.get_objects()]
    return sum(issubclass(kind, random.Random) and kind is not random.SystemRandom for kind in kinds)


def _holders_of_main() -> list[str]:
    """A function has a main module of its own."""
    main = sys.modules["__main__"]
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if isinstance(module, types.ModuleType) and any(each is main for each in vars(module).values())
    )
