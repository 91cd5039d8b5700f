"""What a child is given when it learns its function: descriptors and variables, and where they belong."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Any

from .template import CHANNEL_DESCRIPTOR

HIGH_DESCRIPTOR = 64
"""Out of the way of the numbers that a function's descriptors have."""


def named(
    request: dict[str, Any], descriptors: list[int]
) -> tuple[int, list[int], int | None, list[int], list[int]]:
    """Output, lines (the channel, or a generic process's two), the Runtime API's line, what extensions need,
    trees."""
    rest = list(descriptors)
    output = rest.pop(0)
    lines = [rest.pop(0)] if request["has_channel"] else []
    api_line = rest.pop(0) if request["has_api_line"] else None
    extension_ends = [rest.pop(0), rest.pop(0)] if request["extensions"] else []
    if request["is_generic"]:
        lines, rest = rest[:2], rest[2:]
    return output, lines, api_line, extension_ends, rest


def arrange_descriptors(output: int, lines: list[int], *, inheritable: bool) -> None:
    """Output to 1 and 2, lines to CHANNEL_DESCRIPTOR and up; programs inherit these only where wanted."""
    given = [output, *lines]
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR) for descriptor in given]
    os.dup2(moved[0], 1)
    os.dup2(moved[0], 2)
    for descriptor, line in enumerate(moved[1:], CHANNEL_DESCRIPTOR):
        os.dup2(line, descriptor, inheritable=inheritable)


def set_environment(variables: dict[str, str]) -> None:
    """These and no others."""
    environ = os.environ
    environ.clear()
    # `update` asks for the kind of its argument in ways that copy much memory.
    for name in variables:
        environ[name] = variables[name]
    time.tzset()
