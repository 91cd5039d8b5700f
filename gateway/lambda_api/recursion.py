"""Operations on what becomes of a function that triggers itself (`broker.lineage`)."""

from __future__ import annotations

from typing import Any

from broker.registry import changes
from gateway.lambda_api.context import Context
from gateway.lambda_api.targets import named_function


async def put_function_recursion_config(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name, _ = named_function(context, request, qualified=False)
    chosen = request["RecursiveLoop"]
    record = await context.registry.update(name, lambda r: changes.set_recursive_loop(r, chosen))
    return {"RecursiveLoop": record.recursive_loop}


async def get_function_recursion_config(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name, _ = named_function(context, request, qualified=False)
    return {"RecursiveLoop": (await context.registry.get(name)).recursive_loop}
