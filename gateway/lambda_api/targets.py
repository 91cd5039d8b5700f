"""From a request's FunctionName and Qualifier to what is stored."""

from __future__ import annotations

from typing import Any

from broker.registry.model import FunctionConfig, FunctionRecord
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter


def named_function(context: Context, request: dict[str, Any], *, qualified: bool = True) -> tuple[str, str]:
    """Name and qualifier (empty: none given) that a request means.

    Raises ApiError, also for a qualifier where `qualified` is False: then the operation is about the
    function as a whole.
    """
    name, qualifier = context.names.parse(request["FunctionName"], request.get("Qualifier", ""))
    if qualifier and not qualified:
        raise invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this"
            " operation. Please specify either a function name or an unqualified function ARN."
        )
    return name, qualifier


def resolved(context: Context, record: FunctionRecord, qualifier: str) -> FunctionConfig:
    """The version that a qualifier means; for a weighted alias its main one. Raises ApiError."""
    return context.names.resolve(record, qualifier, _main_version)


def _main_version() -> float:
    return 1.0
