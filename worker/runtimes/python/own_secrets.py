"""What modules make up when they are imported, and no two functions' processes may share."""

from __future__ import annotations

import os
import sys

RENEWED = frozenset({"multiprocessing.process"})
"""Modules that draw a secret when they are imported, of which `renew_secrets` makes another."""
SECRET_BYTES = 32


def renew_secrets() -> None:
    """In a process that was forked with modules imported, before a function's code runs.

    `multiprocessing` lets whoever knows the key of a process run code in its managers and listeners.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process().authkey = os.urandom(SECRET_BYTES)
