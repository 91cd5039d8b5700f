"""`_X_AMZN_TRACE_ID`, which changes with every run."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

NAME = "_X_AMZN_TRACE_ID"
_CAPACITY_BYTES = 1024
_START = NAME.encode() + b"="
_put: Callable[[object], int] = ctypes.CDLL(None).putenv
"""Found once in a zygote: to ask for it makes a new type each time."""
_text = ctypes.create_string_buffer(_CAPACITY_BYTES)
"""Of this process, which has one variable of this name; made in a zygote, too."""


class TraceVariable:
    """Sets the variable where Python code, C code and child processes find it.

    setenv(3) of glibc before 2.41 keeps every value that there ever was: 160 bytes a run, 150 MB after a
    million. So putenv(3) gets the same text each time, written anew.
    """

    def __init__(self) -> None:
        self._environ = os.environ
        self._values = getattr(os.environ, "_data", None)
        self._header = ""

    def set(self, header: str) -> None:
        """The trace header of the run that begins; empty removes the variable."""
        if header == self._header:
            return
        self._header = header
        value = header.encode("utf-8", "surrogateescape")
        if not header:
            os.environ.pop(NAME, None)
        elif not isinstance(self._values, dict) or not self._fits(value):
            os.environ[NAME] = header
        else:
            _text.value = _START + value
            _put(_text)
            self._values[NAME.encode()] = value

    def _fits(self, value: bytes) -> bool:
        # A function may have put something of its own in the place of os.environ.
        return os.environ is self._environ and len(_START) + len(value) < _CAPACITY_BYTES
