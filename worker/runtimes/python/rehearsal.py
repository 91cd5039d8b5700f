"""Runs a function that nobody deployed, so that the next one finds the interpreter warm.

A forked child copies every page of memory that it writes to, and Python writes wherever it looks. In the
zygote a rehearsal leaves caches filled that every child would fill for itself; in a child that waits
prepared, it copies ahead of time what the function's start would copy.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys

from ...sandbox.inside.confine import Confinement
from . import frames
from .assignment import named, set_environment
from .encoding import Encoding
from .function_log import FunctionLog, stream
from .function_loop import FunctionLoop
from .gaps import fill_gaps
from .handler import prepare_path
from .init_imports import InitImports

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rehearsed")
MODULE = "rehearsed_handler"
EVENT = b'{"rehearsal": [1, 2.5, null, true, "text"]}'
TEXTS = (b"00000000-0000-4000-8000-000000000000", b"arn:aws:lambda:::function:rehearsed", b"", b"")

ASSIGNMENT = json.dumps(
    {
        "has_channel": True,
        "has_api_line": False,
        "is_generic": False,
        "extensions": None,
        "variables": {"PATH": "/usr/bin"},
        "confinement": {
            "uid": 0,
            "mounts": False,
            "binds": [],
            "trees": [],
            "readable": [],
            "scratch": "",
            "task_root": DIRECTORY,
            "open_files": 0,
            "processes": 0,
            "storage_mb": 0,
            "memory_bytes": 0,
        },
    }
).encode()

REHEARSALS = 20
"""After a few, Python has adapted its code to what it meets."""


def warm_up(log: FunctionLog) -> None:
    """Make this process one to fork functions from. Raises OSError."""
    for _ in range(REHEARSALS):
        rehearse(log)
    gc.collect()
    fill_gaps()
    gc.disable()
    gc.freeze()


def rehearse(log: FunctionLog) -> None:
    """Import, run and forget it. Raises OSError where there are no descriptors left."""
    environment = dict(os.environ)
    path, writes_bytecode, bytecode = list(sys.path), sys.dont_write_bytecode, sys.pycache_prefix
    # Most functions are deployed without bytecode: compiling is a part of their start.
    sys.pycache_prefix = os.devnull
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs:
            _learn(ASSIGNMENT, theirs.fileno())
            ours.sendall(_request())
            ours.shutdown(socket.SHUT_WR)
            report = InitImports("", {}).report
            FunctionLoop(theirs, log, Encoding("3.12")).run(MODULE + ".handler", report)
    finally:
        set_environment(environment)
        sys.path[:] = path
        sys.dont_write_bytecode, sys.pycache_prefix = writes_bytecode, bytecode
        log.request_id = ""
        sys.modules.pop(MODULE, None)
        sys.path_importer_cache.pop(DIRECTORY, None)


def _learn(assignment: bytes, descriptor: int) -> None:
    """What a child does once it is told what to become, as far as it can be taken back."""
    request = json.loads(assignment.decode())
    named(request, [descriptor, descriptor])
    Confinement(**request["confinement"])
    set_environment(request["variables"])
    stream(descriptor, "strict")
    prepare_path(request["confinement"]["task_root"], "")


def _request() -> bytes:
    sizes = [len(text) for text in TEXTS]
    length = frames.REQUEST.size - frames.LENGTH_BYTES + sum(sizes) + len(EVENT)
    return frames.REQUEST.pack(length, 1, 0, *sizes) + b"".join(TEXTS) + EVENT
