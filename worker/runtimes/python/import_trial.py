"""Imports modules in a process that is thrown away, and tells what came of it.

Forks of a process that has imported them are to be like a process that has imported them itself. Refused is
what is not: threads, processes, files left open or written, anything said or sent, another state of the
interpreter. What was read of the environment is told with its value: only where it is the same, the modules
will be the same.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .import_marks import changes, marks_of_interpreter, marks_of_process
from .init_imports import modules_of_runtime, runtime_places
from .memory import private_kilobytes
from .own_secrets import RENEWED

REFUSED_EVENTS = (
    "_thread.start",
    "ctypes.set",
    "fcntl.",
    "ftplib.",
    "http.client.",
    "mmap.",
    "os.chdir",
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.unsetenv",
    "os.utime",
    "pty.spawn",
    "shutil.",
    "signal.",
    "smtplib.",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostby",
    "socket.send",
    "subprocess.",
    "syslog.",
    "tempfile.",
    "urllib.",
    "webbrowser.",
)
"""What audit events must not begin with. A socket that is opened, bound and closed is fine: urllib3 asks the
machine so whether it has IPv6."""
FUNCTIONS_OWN = ("/tmp", "/var/task", "/opt")
"""Where files are not the same for all functions; but for those of the runtime."""
CHANCE = (
    ("os", "urandom"),
    ("os", "getrandom"),
    ("random", "_urandom"),
    ("ssl", "RAND_bytes"),
    ("uuid", "uuid1"),
)
"""Whatever a module makes up of these is the same in every fork."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
EVERYTHING = "*"
"""Stands for the name where a module looked at all variables."""


def try_out(names: Sequence[str]) -> dict[str, Any]:
    """`seconds` of processor time, `kilobytes` of memory, modules that `came`, variables that were `read`
    (value, or None where there was none), and `problems`, sorted; with any, nothing else says much."""
    places = runtime_places(os.environ.get("LAMBDA_RUNTIME_DIR", ""))
    before, process, interpreter = set(sys.modules), marks_of_process(), marks_of_interpreter()
    problems, kilobytes = set[str](), private_kilobytes()
    started = time.process_time()
    with _watched(problems, places), _draws_noted(problems), _reads_noted() as read:
        for name in names:
            try:
                importlib.import_module(name)
            except BaseException as error:
                problems.add(f"{name}: {type(error).__name__}")
    seconds = time.process_time() - started
    problems.update(f"changes {each}" for each in changes(process, marks_of_process()))
    problems.update(f"changes {each}" for each in changes(interpreter, marks_of_interpreter()))
    if EVERYTHING in read:
        problems.add("reads every environment variable")
    return {
        "seconds": seconds,
        "kilobytes": max(0, private_kilobytes() - kilobytes),
        "came": modules_of_runtime(set(sys.modules) - before, places),
        "read": {name: os.environ.get(name) for name in read},
        "problems": sorted(problems),
    }


@contextmanager
def _watched(problems: set[str], places: tuple[str, ...]) -> Iterator[None]:
    """Within the block, note what the interpreter is asked to do. Its hook stays for ever."""
    watching = True

    def heard(event: str, details: tuple[Any, ...]) -> None:
        if watching and _is_refused(event, details, places):
            problems.add(f"asks for {event}")

    sys.addaudithook(heard)
    try:
        yield
    finally:
        watching = False


def _is_refused(event: str, details: tuple[Any, ...], places: tuple[str, ...]) -> bool:
    if event != "open":
        return event.startswith(REFUSED_EVENTS)
    path, _, flags = details
    if isinstance(flags, int) and flags & WRITING:
        return True
    if not isinstance(path, str):
        return True
    return path.startswith(FUNCTIONS_OWN) and not path.startswith(places)


@contextmanager
def _draws_noted(problems: set[str]) -> Iterator[None]:
    """Within the block, note which modules ask for chance; but for those whose secrets are renewed."""
    asked = [(sys.modules[module], name) for module, name in CHANCE if hasattr(sys.modules.get(module), name)]
    originals = [getattr(module, name) for module, name in asked]

    def noting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*arguments: Any) -> Any:
            asker = sys._getframe(1).f_globals.get("__name__", "")
            if asker not in RENEWED:
                problems.add(f"{asker} asks for {name}")
            return original(*arguments)

        return draw

    for (module, name), original in zip(asked, originals):  # noqa: B905 (Python 3.9)
        setattr(module, name, noting(name, original))
    try:
        yield
    finally:
        for (module, name), original in zip(asked, originals):  # noqa: B905 (Python 3.9)
            setattr(module, name, original)


@contextmanager
def _reads_noted() -> Iterator[set[str]]:
    """Names of the environment variables that are looked up within the block."""
    read = set[str]()
    kind: Any = type(os.environ)
    look_up, walk = kind.__getitem__, kind.__iter__

    def noting_look_up(environ: Any, name: Any) -> Any:
        read.add(name if isinstance(name, str) else EVERYTHING)
        return look_up(environ, name)

    def noting_walk(environ: Any) -> Any:
        read.add(EVERYTHING)
        return walk(environ)

    kind.__getitem__, kind.__iter__ = noting_look_up, noting_walk
    try:
        yield read
    finally:
        kind.__getitem__, kind.__iter__ = look_up, walk
