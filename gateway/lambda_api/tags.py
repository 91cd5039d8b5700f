"""Operations on a function's tags."""

from __future__ import annotations

from typing import Any

from broker.registry import changes
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter, not_supported


async def tag_resource(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name = _tagged_function(context, request["Resource"])
    if not request["Tags"]:
        raise invalid_parameter("An error occurred and the request cannot be processed.")
    await context.registry.update(name, lambda record: changes.tag(record, request["Tags"]))
    return {}


async def untag_resource(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name = _tagged_function(context, request["Resource"])
    await context.registry.update(name, lambda record: changes.untag(record, request["TagKeys"]))
    return {}


async def list_tags(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    name = _tagged_function(context, request["Resource"])
    return {"Tags": (await context.registry.get(name)).tags}


def _tagged_function(context: Context, resource: str) -> str:
    kind = resource.split(":")[5]
    if kind != "function":
        raise not_supported(f"Tags of a {kind} are not supported yet, only those of functions.")
    name, qualifier = context.names.parse(resource)
    if qualifier:
        raise invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return name
