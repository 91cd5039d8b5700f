"""Waiting, with a deadline, for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(what: str, look: Callable[[], Value], within_seconds: float = 10.0) -> Value:
    """The first truthy result of `look`; fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds:g} s: {what}")
        time.sleep(0.02)
    return seen
