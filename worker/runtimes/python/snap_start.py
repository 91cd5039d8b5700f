"""SnapStart inside the function's process: the hooks of `snapshot_restore_py`, and when they run.

The package is AWS's own, brought by the function or found in the runtime's library.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from .faults import Fault

INITIALIZATION_TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"
SNAP_START = "snap-start"
HOOKS = "snapshot_restore_py"


def is_wanted() -> bool:
    """Whether this process is, or comes from, a snapshot."""
    return os.environ.get(INITIALIZATION_TYPE) == SNAP_START


def before_snapshot() -> None:
    """Run the hooks, the one registered last first. Raises Fault (Runtime.BeforeSnapshotError)."""
    hooks = _hooks("get_before_snapshot")
    while hooks:
        _run(hooks.pop(), "Runtime.BeforeSnapshotError")


def after_restore() -> None:
    """Run the hooks in the order of their registration. Raises Fault (Runtime.AfterRestoreError)."""
    for hook in _hooks("get_after_restore"):
        _run(hook, "Runtime.AfterRestoreError")


def _hooks(getter: str) -> Any:
    """What was registered, if the function has imported the package at all."""
    package = sys.modules.get(HOOKS)
    return getattr(package, getter)() if package is not None else []


def _run(hook: Any, error_type: str) -> None:
    function, positional, named = hook
    try:
        function(*positional, **named)
    except BaseException as error:
        # One that exits fails as well: AWS's client catches everything here.
        tail = error.__traceback__.tb_next if error.__traceback__ is not None else None
        message = f"{type(error).__name__}: {error}"
        raise Fault(error_type, message, tuple(traceback.format_tb(tail))) from error
