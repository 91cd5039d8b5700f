"""AWS_LAMBDA_EXEC_WRAPPER: a program of the function's that starts its runtime.

The wrapper is executed with the runtime's command as its arguments, and usually ends by executing it.
"""

from __future__ import annotations

from worker.environments.interface import EnvironmentSpec

VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
WITHOUT = ("provided",)
"""Runtimes (by their beginning) that ignore the variable, as on Lambda: the function brings the bootstrap."""


def exec_wrapper(spec: EnvironmentSpec) -> str:
    """The wrapper's path in the sandbox; empty where there is none."""
    if spec.image is not None or spec.runtime.startswith(WITHOUT):
        return ""
    return spec.variables.get(VARIABLE, "")
