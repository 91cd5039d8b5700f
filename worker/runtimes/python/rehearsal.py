"""Runs a function that nobody deployed, so that the next one finds the interpreter warm.

A forked child copies every page of memory that it writes to, and Python writes wherever it looks. In the
zygote a rehearsal leaves caches filled that every child would fill for itself; in a child that waits
prepared, it copies ahead of time what the function's start would copy.
"""

from __future__ import annotations

import gc
import os
import socket
import sys

from . import frames
from .encoding import Encoding
from .function_log import FunctionLog
from .function_loop import FunctionLoop
from .gaps import fill_gaps

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rehearsed")
MODULE = "rehearsed_handler"
EVENT = b'{"rehearsal": [1, 2.5, null, true, "text"]}'
TEXTS = (b"00000000-0000-4000-8000-000000000000", b"arn:aws:lambda:::function:rehearsed", b"", b"")

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
    path, writes_bytecode, bytecode = list(sys.path), sys.dont_write_bytecode, sys.pycache_prefix
    sys.path.insert(0, DIRECTORY)
    # Most functions are deployed without bytecode: compiling is a part of their start.
    sys.dont_write_bytecode, sys.pycache_prefix = True, os.devnull
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs:
            ours.sendall(_request())
            ours.shutdown(socket.SHUT_WR)
            FunctionLoop(theirs, log, Encoding("3.12")).run(MODULE + ".handler")
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode, sys.pycache_prefix = writes_bytecode, bytecode
        log.request_id = ""
        sys.modules.pop(MODULE, None)
        sys.path_importer_cache.pop(DIRECTORY, None)


def _request() -> bytes:
    sizes = [len(text) for text in TEXTS]
    length = frames.REQUEST.size - frames.LENGTH_BYTES + sum(sizes) + len(EVENT)
    return frames.REQUEST.pack(length, 1, 0, *sizes) + b"".join(TEXTS) + EVENT
