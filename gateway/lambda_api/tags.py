"""Operations on the tags of functions and event source mappings."""

from __future__ import annotations

from typing import Any

from broker.registry import changes
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter, not_supported
from gateway.lambda_api.event_source_mappings import change_tags, existing_mapping, settings_of


async def tag_resource(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    if not request["Tags"]:
        raise invalid_parameter("An error occurred and the request cannot be processed.")
    if mapping_id := _tagged_mapping(request["Resource"]):
        await change_tags(context, mapping_id, lambda tags: tags | request["Tags"])
        return {}
    name = _tagged_function(context, request["Resource"])
    await context.registry.update(name, lambda record: changes.tag(record, request["Tags"]))
    return {}


async def untag_resource(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    if mapping_id := _tagged_mapping(request["Resource"]):
        gone = set(request["TagKeys"])
        await change_tags(context, mapping_id, lambda tags: {k: v for k, v in tags.items() if k not in gone})
        return {}
    name = _tagged_function(context, request["Resource"])
    await context.registry.update(name, lambda record: changes.untag(record, request["TagKeys"]))
    return {}


async def list_tags(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    if mapping_id := _tagged_mapping(request["Resource"]):
        return {"Tags": settings_of(await existing_mapping(context, mapping_id)).tags}
    name = _tagged_function(context, request["Resource"])
    return {"Tags": (await context.registry.get(name)).tags}


def _tagged_mapping(resource: str) -> str:
    """UUID of the event source mapping that is meant; empty where it is something else."""
    *_, kind, name = resource.split(":", 6)
    return name if kind == "event-source-mapping" else ""


def _tagged_function(context: Context, resource: str) -> str:
    kind = resource.split(":")[5]
    if kind != "function":
        raise not_supported(
            f"Tags of a {kind} are not supported yet, only those of functions and event source mappings."
        )
    name, qualifier = context.names.parse(resource)
    if qualifier:
        raise invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return name
