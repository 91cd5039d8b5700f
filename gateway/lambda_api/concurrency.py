"""Operations on a function's reserved concurrency."""

from __future__ import annotations

from typing import Any

from broker.errors import FunctionNotFound
from broker.invocation import LATEST
from broker.registry import changes
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter
from gateway.lambda_api.targets import named_function


async def put_function_concurrency(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    limit: int = request["ReservedConcurrentExecutions"]
    await _reserve(context, request, limit)
    return {"ReservedConcurrentExecutions": limit}


async def get_function_concurrency(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name, _ = named_function(context, request, qualified=False)
    record = await context.registry.get(name)
    return {"ReservedConcurrentExecutions": record.reserved_concurrency}


async def delete_function_concurrency(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    await _reserve(context, request, None)
    return {}


async def _reserve(context: Context, request: dict[str, Any], limit: int | None) -> None:
    """The registry first, then the broker; without both the caller gets no success and tries again."""
    name, _ = named_function(context, request, qualified=False)
    try:
        await context.registry.update(name, lambda record: changes.reserve_concurrency(record, limit))
    except FunctionNotFound as error:
        raise context.names.not_found(name, LATEST) from error
    except changes.MoreThanReserved as error:
        raise invalid_parameter(
            f"ReservedConcurrentExecutions {error.reserved} should not be lower than function's total"
            f" provisioned concurrency [{error.provisioned}]."
        ) from error
    await _tell_broker(context, name, limit)


async def _tell_broker(context: Context, name: str, limit: int | None) -> None:
    """Set the limit, and again where somebody else changed it meanwhile: the registry has the last word."""
    while True:
        await context.broker.set_limit(name, limit)
        current = (await context.registry.get(name)).reserved_concurrency
        if current == limit:
            return
        limit = current
