"""Operations on layers: archives that functions find, unpacked and merged, at /opt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from broker import code_package
from broker.layer_store.interface import LayerVersion
from gateway.lambda_api.code_sources import keep_code, read_code
from gateway.lambda_api.configuration import timestamp
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import not_found
from gateway.lambda_api.layer_names import layer_arn, layer_name, parse_version_arn, version_arn
from gateway.lambda_api.paging import page_of

Request = dict[str, Any]
Result = dict[str, Any]

_HIGHEST = 10**12
"""Above every version's number: keys that count down from it list the newest first."""


async def publish_layer_version(context: Context, request: Request) -> Result:
    name = layer_name(context.names, request["LayerName"])
    package = await read_code(context, request["Content"])
    code = await keep_code(context, package)
    layer = LayerVersion(
        name=name,
        version=0,
        code_sha256=code.sha256,
        code_size=code.size_bytes,
        unzipped_bytes=await asyncio.to_thread(code_package.unzipped_bytes, package),
        created=timestamp(),
        description=request.get("Description", ""),
        license_info=request.get("LicenseInfo", ""),
        compatible_runtimes=tuple(request.get("CompatibleRuntimes", ())),
        compatible_architectures=tuple(request.get("CompatibleArchitectures", ())),
    )
    return _describe(context, await context.layers.publish(layer))


async def get_layer_version(context: Context, request: Request) -> Result:
    name = layer_name(context.names, request["LayerName"])
    return await _found(context, name, request["VersionNumber"])


async def get_layer_version_by_arn(context: Context, request: Request) -> Result:
    name, version = parse_version_arn(context.names, request["Arn"])
    return await _found(context, name, version)


async def list_layers(context: Context, request: Request) -> Result:
    """The newest version of each layer that suits the runtime and architecture asked for."""
    items = [await _newest_suiting(context, request, layer) for layer in await context.layers.latest()]
    listed = await page_of(request, [item for item in items if item is not None])
    return {"Layers": listed.items, "NextMarker": listed.next_marker}


async def list_layer_versions(context: Context, request: Request) -> Result:
    name = layer_name(context.names, request["LayerName"])
    suiting = _suiting(request, await context.layers.versions(name))
    keyed = [(f"{_HIGHEST - layer.version:013d}", _outline(context, layer)) for layer in suiting]
    listed = await page_of(request, keyed)
    return {"LayerVersions": listed.items, "NextMarker": listed.next_marker}


async def delete_layer_version(context: Context, request: Request) -> Result:
    """Functions that have it keep it; nobody gets it any more. One that is gone is fine, as on AWS."""
    name = layer_name(context.names, request["LayerName"])
    await context.layers.delete(name, request["VersionNumber"])
    return {}


async def _found(context: Context, name: str, version: int) -> Result:
    layer = await context.layers.get(name, version)
    if layer is None:
        raise not_found("The resource you requested does not exist.")
    return _describe(context, layer)


async def _newest_suiting(
    context: Context, request: Request, latest: LayerVersion
) -> tuple[str, Result] | None:
    suiting: Sequence[LayerVersion] = _suiting(request, [latest])
    if not suiting:
        suiting = _suiting(request, await context.layers.versions(latest.name))
    if not suiting:
        return None
    shown = {
        "LayerName": latest.name,
        "LayerArn": layer_arn(context.names, latest.name),
        "LatestMatchingVersion": _outline(context, suiting[0]),
    }
    return latest.name, shown


def _suiting(request: Mapping[str, Any], layers: Sequence[LayerVersion]) -> list[LayerVersion]:
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    return [
        layer
        for layer in layers
        if (runtime is None or runtime in layer.compatible_runtimes)
        and (architecture is None or architecture in layer.compatible_architectures)
    ]


def _outline(context: Context, layer: LayerVersion) -> Result:
    return {
        "LayerVersionArn": version_arn(context.names, layer.name, layer.version),
        "Version": layer.version,
        "Description": layer.description,
        "CreatedDate": layer.created,
        "CompatibleRuntimes": list(layer.compatible_runtimes) or None,
        "CompatibleArchitectures": list(layer.compatible_architectures) or None,
        "LicenseInfo": layer.license_info or None,
    }


def _describe(context: Context, layer: LayerVersion) -> Result:
    content = {
        "Location": context.code_links.link(context.base_url, layer.code_digest),
        "CodeSha256": layer.code_sha256,
        "CodeSize": layer.code_size,
    }
    arn = layer_arn(context.names, layer.name)
    return {"Content": content, "LayerArn": arn, **_outline(context, layer)}
