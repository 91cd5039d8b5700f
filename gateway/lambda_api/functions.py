"""Operations on functions: create, read, list, update, delete."""

from __future__ import annotations

from typing import Any

from broker.errors import FunctionExists, FunctionNotFound
from broker.invocation import LATEST
from broker.registry import changes, version_changes
from broker.registry.model import FunctionConfig, FunctionRecord
from gateway.lambda_api import configuration
from gateway.lambda_api.code_sources import read_code, store_code
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict, invalid_parameter
from gateway.lambda_api.function_layers import check_unzipped_size, used_layers
from gateway.lambda_api.function_settings import (
    check_handler,
    check_snap_start,
    echoed,
    refuse_unsupported,
    settings_of,
)
from gateway.lambda_api.function_urls import forget_urls
from gateway.lambda_api.image_functions import (
    check_image_settings,
    check_zip_settings,
    new_image,
    updated_image,
)
from gateway.lambda_api.paging import Keyed, page
from gateway.lambda_api.snap_start import initialize
from gateway.lambda_api.targets import named_function, resolved
from gateway.lambda_api.versions_and_aliases import outlined_versions

Request = dict[str, Any]
Result = dict[str, Any]


async def create_function(context: Context, request: Request) -> Result:
    """The code is read, checked and stored first, so that what the registry shows can run at once."""
    name, _ = named_function(context, request, qualified=False)
    fields = settings_of(request)
    check_snap_start(request.get("Runtime", ""), fields.get("snap_start", False))
    if request.get("PackageType") == "Image":
        await _refuse_existing(context, name)
        code = await new_image(context, request)
    else:
        code = await _new_zip(context, name, request)
    record = changes.tag(_new_record(name, {**fields, **code}, request), request.get("Tags", {}))
    qualifier = LATEST
    if request.get("Publish"):
        record, qualifier = version_changes.publish_version(record, **_publication())
    try:
        stored = await context.registry.create(record)
    except FunctionExists as error:
        raise conflict(f"Function already exist: {name}") from error
    config = stored.version(qualifier) or stored.latest
    await initialize(context, stored, config)
    return configuration.as_creating(configuration.describe(context.names, name, config))


async def get_function(context: Context, request: Request) -> Result:
    name, qualifier = named_function(context, request)
    record = await context.registry.get(name)
    config = resolved(context, record, qualifier)
    # Concurrency belongs to the function as a whole, and AWS shows it only where that is asked for.
    reserved = None if qualifier else record.reserved_concurrency
    return {
        "Configuration": configuration.describe(context.names, name, config, qualifier),
        "Code": _code_location(context, config),
        "Tags": record.tags or None,
        "Concurrency": None if reserved is None else {"ReservedConcurrentExecutions": reserved},
    }


async def get_function_configuration(context: Context, request: Request) -> Result:
    name, qualifier = named_function(context, request)
    record = await context.registry.get(name)
    config = resolved(context, record, qualifier)
    return configuration.describe(context.names, name, config, qualifier)


async def list_functions(context: Context, request: Request) -> Result:
    listed = await page(request, lambda after, limit: _functions_after(context, request, after, limit))
    return {"Functions": listed.items, "NextMarker": listed.next_marker}


async def update_function_code(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    refuse_unsupported(request)
    current = (await context.registry.get(name)).latest
    if current.image is not None:
        members = await updated_image(context, request, current)
    else:
        members = await _updated_zip(context, request, current)
    if request.get("DryRun"):
        return await get_function_configuration(context, {"FunctionName": name})
    if "Architectures" in request:
        members["architectures"] = tuple(request["Architectures"])
    return await _update_latest(context, name, request, members)


async def update_function_configuration(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    current = (await context.registry.get(name)).latest
    members = settings_of(request, current.logging)
    if current.image is not None:
        check_image_settings(request)
    else:
        check_zip_settings(request)
    runtime = request.get("Runtime", current.runtime)
    check_snap_start(runtime, members.get("snap_start", current.snap_start))
    if "Runtime" in request or "Handler" in request:
        check_handler(runtime, request.get("Handler", current.handler))
        await context.runtimes.check(runtime)
    if "Layers" in request:
        members["layers"] = await used_layers(context, request["Layers"])
        await check_unzipped_size(context, current.code_digest, members["layers"])
    return await _update_latest(context, name, request, members)


async def delete_function(context: Context, request: Request) -> Result:
    name, qualifier = named_function(context, request)
    if qualifier:
        await _delete_version(context, name, qualifier)
    else:
        record = await context.registry.get(name)
        await context.registry.delete(name)
        await forget_urls(context, record)
        await context.broker.set_limit(name, None)
    return {"StatusCode": 204}


async def _update_latest(context: Context, name: str, request: Request, members: dict[str, Any]) -> Result:
    """Change `$LATEST`, publish it where the request says so, and answer as AWS does."""
    revision, published_as = configuration.new_revision(), LATEST
    shown = echoed(request)
    changed_at, publication = configuration.timestamp(), _publication()

    def change(record: FunctionRecord) -> FunctionRecord:
        nonlocal published_as
        extra = {**record.latest.extra, **shown}
        updated = changes.change_latest(
            record,
            members={**members, "extra": extra, "last_modified": changed_at},
            revision_id=revision,
            expected_revision=request.get("RevisionId"),
        )
        if request.get("Publish"):
            updated, published_as = version_changes.publish_version(updated, **publication)
        return updated

    stored = await context.registry.update(name, change)
    if published_as == LATEST:
        return configuration.as_updating(configuration.describe(context.names, name, stored.latest))
    config = stored.versions[published_as]
    await initialize(context, stored, config)
    return configuration.as_creating(configuration.describe(context.names, name, config, published_as))


async def _delete_version(context: Context, name: str, qualifier: str) -> None:
    if qualifier == LATEST:
        raise invalid_parameter("$LATEST version cannot be deleted without deleting the function.")
    if not qualifier.isdigit():
        raise invalid_parameter("Deletion of aliases is not currently supported.")
    try:
        await context.registry.update(name, lambda record: version_changes.delete_version(record, qualifier))
    except version_changes.VersionInUse as error:
        raise conflict(
            "Unable to delete version because the following aliases reference it:"
            f" [{', '.join(error.aliases)}]"
        ) from error


async def _refuse_existing(context: Context, name: str) -> None:
    """Before code is read and stored for nothing; `create` decides in the end."""
    try:
        await context.registry.get(name)
    except FunctionNotFound:
        return
    raise conflict(f"Function already exist: {name}")


async def _functions_after(context: Context, request: Request, after: str, limit: int) -> Keyed:
    """Configurations with their keys: a function's name, or `name:version` where all versions count."""
    if request.get("FunctionVersion") != "ALL":
        records = await context.registry.records(after, limit)
        return [(r.name, configuration.outline(context.names, r.name, r.latest)) for r in records]
    name, _, version = after.partition(":")
    begun = await _record_or_none(context, name) if name else None
    found = [item for item in _all_versions(context, begun) if item[0] > f"{name}:{version}"]
    while len(found) < limit:
        records = await context.registry.records(name, limit)
        if not records:
            break
        name = records[-1].name
        found += [item for record in records for item in _all_versions(context, record)]
    return found[:limit]


def _all_versions(context: Context, record: FunctionRecord | None) -> list[tuple[str, Result]]:
    if record is None:
        return []
    return [(f"{record.name}:{key}", shown) for key, shown in outlined_versions(context.names, record)]


async def _record_or_none(context: Context, name: str) -> FunctionRecord | None:
    try:
        return await context.registry.get(name)
    except FunctionNotFound:
        return None


async def _new_zip(context: Context, name: str, request: Request) -> dict[str, Any]:
    """Fields of FunctionConfig for a new function of a zip, whose code is stored. Raises ApiError."""
    check_zip_settings(request)
    check_handler(request.get("Runtime", ""), request.get("Handler", ""))
    await context.runtimes.check(request["Runtime"])
    await _refuse_existing(context, name)
    layers = await used_layers(context, request.get("Layers", ()))
    code = await store_code(context, request["Code"])
    await check_unzipped_size(context, code.digest, layers)
    return {**code.members, "layers": layers}


async def _updated_zip(context: Context, request: Request, current: FunctionConfig) -> dict[str, Any]:
    check_zip_settings(request)
    if request.get("DryRun"):
        await read_code(context, request)
        return {}
    code = await store_code(context, request)
    await check_unzipped_size(context, code.digest, current.layers)
    return dict(code.members)


def _code_location(context: Context, config: FunctionConfig) -> Result:
    if config.image is not None:
        return {
            "RepositoryType": "ECR",
            "ImageUri": config.image.uri,
            "ResolvedImageUri": config.image.resolved_uri,
        }
    link = context.code_links.link(context.base_url, config.code_digest)
    return {"RepositoryType": "S3", "Location": link}


def _new_record(name: str, fields: dict[str, Any], request: Request) -> FunctionRecord:
    latest = FunctionConfig(
        version=LATEST,
        last_modified=configuration.timestamp(),
        revision_id=configuration.new_revision(),
        extra=echoed(request),
        **{"runtime": "", "handler": "", **fields},
    )
    return FunctionRecord(name=name, generation=0, latest=latest)


def _publication() -> dict[str, str]:
    return {"revision_id": configuration.new_revision(), "published_at": configuration.timestamp()}
